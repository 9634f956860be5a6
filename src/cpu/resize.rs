//! Interpolation of maps.

use super::layout_ops::for_each_pixel;
use crate::network::Shape;

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
