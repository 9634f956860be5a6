//! Steps that move values about: views, padding, interpolation.

use super::parallel;
use crate::network::Shape;
use crate::plan::{Pad, View};

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

/// Splits an NHWC map into tasks of whole pixels: `task([n, y, x], pixel)` fills the channels of each.
fn for_each_pixel(shape: Shape, output: &mut [f32], task: impl Fn([usize; 3], &mut [f32]) + Send + Sync) {
    let [_, channels, height, width] = shape;
    let pixels = (CHUNK / channels).max(1);
    parallel::for_each_chunk(output, pixels * channels, |index, output| {
        for (at, pixel) in output.chunks_exact_mut(channels).enumerate() {
            let at = index * pixels + at;
            task([at / (height * width), at / width % height, at % width], pixel);
        }
    });
}

/// Every element from where the view says; shapes are those of the batch.
pub(super) fn rearrange(view: &View, batch: usize, from: Shape, input: &[f32], to: Shape, output: &mut [f32]) {
    let [items, channels, height, width] = [from[0] / batch, from[1], from[2], from[3]];
    let out_items = to[0] / batch;
    let area = height * width;
    for_each_pixel(to, output, |[n, y, x], pixel| {
        let (element, item) = (n / out_items, n % out_items);
        let first = element * items * channels * area;
        for (c, value) in pixel.iter_mut().enumerate() {
            let source = view.source([item, c, y, x]);
            // From NCHW to NHWC.
            let (map, channel, place) = (source / (channels * area), source / area % channels, source % area);
            *value = input[first + (map * area + place) * channels + channel];
        }
    });
}

/// Values around a map; shapes are those of the batch.
pub(super) fn pad(pad: &Pad, batch: usize, from: Shape, input: &[f32], to: Shape, output: &mut [f32]) {
    let [items, channels, height, width] = [from[0] / batch, from[1], from[2], from[3]];
    let out_items = to[0] / batch;
    let source =
        |axis: usize, index: usize, len: usize| pad.mode.source(index as isize - pad.before[axis] as isize, len);
    for_each_pixel(to, output, |[n, y, x], pixel| {
        let (element, item) = (n / out_items, n % out_items);
        let place = (source(0, item, items), source(2, y, height), source(3, x, width));
        let (Some(item), Some(y), Some(x)) = place else {
            pixel.fill(pad.value);
            return;
        };
        let from = &input[(((element * items + item) * height + y) * width + x) * channels..][..channels];
        if from.len() == pixel.len() {
            pixel.copy_from_slice(from);
            return;
        }
        for (c, value) in pixel.iter_mut().enumerate() {
            *value = source(1, c, channels).map_or(pad.value, |c| from[c]);
        }
    });
}

/// Along one axis, the pixels that every output pixel is made of, with their weights: two halves of a table.
pub(super) struct Taps<'a>(pub &'a [f32]);

impl<'a> Taps<'a> {
    fn of(&self, output: usize, size: usize) -> impl Iterator<Item = (usize, f32)> + use<'a> {
        let (indices, weights) = self.0.split_at(self.0.len() / 2);
        let taps = indices.len() / size;
        let range = output * taps..(output + 1) * taps;
        indices[range.clone()].iter().map(|&index| index as usize).zip(weights[range].iter().copied())
    }
}

/// Interpolation along both axes.
pub(super) fn resize(rows: &Taps, columns: &Taps, from: Shape, input: &[f32], to: Shape, output: &mut [f32]) {
    let [_, channels, height, width] = from;
    for_each_pixel(to, output, |[n, y, x], pixel| {
        pixel.fill(0.0);
        for (row, row_weight) in rows.of(y, to[2]) {
            for (column, weight) in columns.of(x, to[3]) {
                let from = &input[((n * height + row) * width + column) * channels..][..channels];
                let weight = row_weight * weight;
                pixel.iter_mut().zip(from).for_each(|(sum, &value)| *sum += weight * value);
            }
        }
    });
}
