//! Operators that move values about.

use super::Map;
use super::map::continued;
use crate::network::{Coordinates, Interpolation, Pad, Resize, Rounding, Slice};

/// The same values as maps of another shape, `[items, c, h, w]` for every element of the batch.
pub fn reshape([items, c, h, w]: [usize; 4], batch: usize, input: &Map) -> Map {
    Map { shape: [batch * items, c, h, w], data: input.data.clone() }
}

/// Fills a map of `shape` for one element of a batch, for each from `value(source, index)`, where `source(index)` reads
/// the input of that element.
fn gather(
    batch: usize,
    input: &Map,
    shape: [usize; 4],
    value: impl Fn(&dyn Fn([usize; 4]) -> f64, [usize; 4]) -> f64,
) -> Map {
    let [items, c, h, w] = shape;
    let in_items = input.shape[0] / batch;
    Map::from_fn([batch * items, c, h, w], |n, c, y, x| {
        let source = |[item, c, y, x]: [usize; 4]| input.at(n / items * in_items + item, c, y, x);
        value(&source, [n % items, c, y, x])
    })
}

/// The shape for one element of a batch.
fn of_one(batch: usize, input: &Map) -> [usize; 4] {
    let [n, c, h, w] = input.shape;
    [n / batch, c, h, w]
}

/// Axis `i` of the result is axis `axes[i]` of the input.
pub fn transpose(axes: [usize; 4], batch: usize, input: &Map) -> Map {
    let from = of_one(batch, input);
    gather(batch, input, axes.map(|axis| from[axis]), |source, index| {
        let mut at = [0; 4];
        for (axis, index) in axes.into_iter().zip(index) {
            at[axis] = index;
        }
        source(at)
    })
}

/// Part of a map.
pub fn slice(slice: &Slice, batch: usize, input: &Map) -> Map {
    gather(batch, input, slice.count, |source, index| {
        source([0, 1, 2, 3].map(|axis| (slice.start[axis] as isize + index[axis] as isize * slice.step[axis]) as usize))
    })
}

/// Values around a map.
pub fn pad(pad: &Pad, batch: usize, input: &Map) -> Map {
    let from = of_one(batch, input);
    let shape = [0, 1, 2, 3].map(|axis| from[axis] + pad.before[axis] + pad.after[axis]);
    gather(batch, input, shape, |source, index| {
        let at =
            [0, 1, 2, 3].map(|axis| continued(pad.mode, index[axis] as isize - pad.before[axis] as isize, from[axis]));
        match at {
            [Some(item), Some(c), Some(y), Some(x)] => source([item, c, y, x]),
            _ => f64::from(pad.value),
        }
    })
}

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
