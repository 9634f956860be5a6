//! Interpolation of maps.

use super::Map;
use crate::network::{Coordinates, Interpolation, Resize, Rounding};

/// The pixels that output pixel `o` of `size` is made of, along one axis of an input of `len`, with their weights.
fn taps(resize: &Resize, scale: f64, o: usize, size: usize, len: usize) -> Vec<(usize, f64)> {
    let centre = o as f64 + 0.5;
    let x = match resize.coordinates {
        Coordinates::HalfPixel => centre / scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            let adjustment = size as f64 / (scale * len as f64);
            let offset = len as f64 / 2.0 * (1.0 - adjustment);
            offset + centre / scale - 0.5
        }
        Coordinates::PytorchHalfPixel if size == 1 => 0.0,
        Coordinates::PytorchHalfPixel => centre / scale - 0.5,
        Coordinates::AlignCorners if size == 1 => 0.0,
        Coordinates::AlignCorners => o as f64 * (len - 1) as f64 / (size - 1) as f64,
        Coordinates::Asymmetric => o as f64 / scale,
    };
    let inside = |at: f64| at.clamp(0.0, (len - 1) as f64) as usize;
    match resize.interpolation {
        Interpolation::Nearest(rounding) => {
            let at = match rounding {
                Rounding::HalfDown => (x - 0.5).ceil(),
                Rounding::HalfUp => (x + 0.5).floor(),
                Rounding::Floor => x.floor(),
                Rounding::Ceil => x.ceil(),
            };
            vec![(inside(at), 1.0)]
        }
        Interpolation::Linear => {
            let t = x - x.floor();
            vec![(inside(x.floor()), 1.0 - t), (inside(x.floor() + 1.0), t)]
        }
        Interpolation::Cubic(a) => {
            let t = x - x.floor();
            let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
            let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
            let weights = [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)];
            weights.into_iter().enumerate().map(|(k, w)| (inside(x.floor() - 1.0 + k as f64), w)).collect()
        }
    }
}

/// Interpolation along rows and columns.
pub fn resize(resize: &Resize, input: &Map) -> Map {
    interpolate(resize, input, |weight| weight)
}

/// The same with a function of every weight in place of the weight.
pub(super) fn interpolate(resize: &Resize, input: &Map, of_weight: impl Fn(f64) -> f64) -> Map {
    let [batch, channels, height, width] = input.shape;
    let [out_height, out_width] = resize.size;
    let [down, across] = resize.scale.unwrap_or([out_height as f64 / height as f64, out_width as f64 / width as f64]);
    let rows: Vec<_> = (0..out_height).map(|y| taps(resize, down, y, out_height, height)).collect();
    let columns: Vec<_> = (0..out_width).map(|x| taps(resize, across, x, out_width, width)).collect();
    Map::from_fn([batch, channels, out_height, out_width], |n, c, y, x| {
        let of_row = |row: usize| -> f64 {
            columns[x].iter().map(|&(column, weight)| of_weight(weight) * input.at(n, c, row, column)).sum()
        };
        rows[y].iter().map(|&(row, weight)| of_weight(weight) * of_row(row)).sum()
    })
}
