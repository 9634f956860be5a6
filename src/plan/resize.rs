//! What every row and column of a resized map is made of.

use crate::network::{Coordinates, Interpolation, Resize, Rounding};

/// Along one axis: `taps` pixels of the input, with weights, for every pixel of the output.
pub(super) struct Table {
    pub taps: usize,
    /// `[output pixel][tap]`.
    pub indices: Vec<usize>,
    /// The same.
    pub weights: Vec<f64>,
}

impl Table {
    /// For one of the two axes of an input of `len` pixels.
    pub fn new(resize: &Resize, axis: usize, len: usize) -> Self {
        let size = resize.size[axis];
        let scale = resize.scale.map_or(size as f64 / len as f64, |scale| scale[axis]);
        let taps = match resize.interpolation {
            Interpolation::Nearest(_) => 1,
            Interpolation::Linear => 2,
            Interpolation::Cubic(_) => 4,
        };
        let mut table = Self { taps, indices: vec![], weights: vec![] };
        for output in 0..size {
            let at = coordinate(resize.coordinates, scale, output, size, len);
            table.push(resize.interpolation, at, len);
        }
        table
    }

    fn push(&mut self, interpolation: Interpolation, at: f64, len: usize) {
        let below = at.floor();
        let t = at - below;
        let mut tap = |index: f64, weight: f64| {
            self.indices.push(index.clamp(0.0, (len - 1) as f64) as usize);
            self.weights.push(weight);
        };
        match interpolation {
            Interpolation::Nearest(rounding) => {
                let up = match rounding {
                    Rounding::HalfDown => t > 0.5,
                    Rounding::HalfUp => t >= 0.5,
                    Rounding::Floor => false,
                    Rounding::Ceil => t > 0.0,
                };
                tap(if up { below + 1.0 } else { below }, 1.0);
            }
            Interpolation::Linear => {
                tap(below, 1.0 - t);
                tap(below + 1.0, t);
            }
            Interpolation::Cubic(a) => {
                for k in [-1.0, 0.0, 1.0, 2.0] {
                    tap(below + k, cubic(a, (t - k).abs()));
                }
            }
        }
    }
}

/// Keys' cubic convolution kernel at a distance below 2.
fn cubic(a: f64, distance: f64) -> f64 {
    let (x, x2) = (distance, distance * distance);
    if x <= 1.0 { (a + 2.0) * x2 * x - (a + 3.0) * x2 + 1.0 } else { a * (x2 * x - 5.0 * x2 + 8.0 * x - 4.0) }
}

fn coordinate(coordinates: Coordinates, scale: f64, output: usize, size: usize, len: usize) -> f64 {
    let half_pixel = (output as f64 + 0.5) / scale - 0.5;
    match coordinates {
        Coordinates::HalfPixel => half_pixel,
        Coordinates::HalfPixelSymmetric => {
            let adjustment = size as f64 / (scale * len as f64);
            len as f64 / 2.0 * (1.0 - adjustment) + half_pixel
        }
        Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if size == 1 => 0.0,
        Coordinates::PytorchHalfPixel => half_pixel,
        Coordinates::AlignCorners => output as f64 * (len - 1) as f64 / (size - 1) as f64,
        Coordinates::Asymmetric => output as f64 / scale,
    }
}
