//! Layout operators: reshape, transpose, slice, pad.

use super::Map;
use super::map::continued;
use crate::network::{Pad, Slice};

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
