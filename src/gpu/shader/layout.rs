//! The memory layout of maps and kernels on a device, and packing and unpacking them.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::Scalar;
use crate::network::{Conv2d, Shape};
use crate::winograd::Winograd;

/// Slices of four channels.
pub fn slices(channels: usize) -> usize {
    channels.div_ceil(4)
}

/// Number of values that a map takes: whole slices.
pub fn map_len([n, c, h, w]: Shape) -> usize {
    n * slices(c) * h * w * 4
}

/// NCHW to NCHW4, in a buffer of [`map_len`] zeros or of an earlier map of this shape; unused lanes stay as they are.
pub fn pack_map([_, c, h, w]: Shape, nchw: &[f32], packed: &mut [f32]) {
    let area = h * w;
    for (plane_index, plane) in nchw.chunks_exact(area).enumerate() {
        let (image, channel) = (plane_index / c, plane_index % c);
        let start = (image * slices(c) + channel / 4) * area * 4 + channel % 4;
        for (pixel, &value) in plane.iter().enumerate() {
            packed[start + pixel * 4] = value;
        }
    }
}

/// NCHW4 to NCHW.
pub fn unpack_map([n, c, h, w]: Shape, packed: &[f32]) -> Vec<f32> {
    let area = h * w;
    let mut nchw = vec![0.0; n * c * area];
    for (plane_index, plane) in nchw.chunks_exact_mut(area).enumerate() {
        let (image, channel) = (plane_index / c, plane_index % c);
        let start = (image * slices(c) + channel / 4) * area * 4 + channel % 4;
        for (pixel, value) in plane.iter_mut().enumerate() {
            *value = packed[start + pixel * 4];
        }
    }
    nchw
}

/// Whether the unused lanes of a map are zero: those of a slice that has fewer than four channels.
pub fn has_zero_lanes([n, c, h, w]: Shape, packed: &[f32]) -> bool {
    let (used, area) = (c % 4, h * w);
    let last_slices = (1..=n).map(|image| (image * slices(c) - 1) * area * 4);
    used == 0
        || last_slices
            .flat_map(|first| packed[first..][..area * 4].chunks(4))
            .all(|pixel| pixel[used..].iter().all(|&lane| lane == 0.0))
}

/// Values as a device stores them.
pub fn stored(scalar: Scalar, values: &[f32]) -> Cow<'_, [u8]> {
    if is_single(scalar) {
        return Cow::Borrowed(bytemuck::cast_slice(values));
    }
    let mut half = vec![f16::ZERO; values.len()];
    half.convert_from_f32_slice(values);
    Cow::Owned(bytemuck::cast_slice(&half).to_vec())
}

/// Values that a device has stored.
pub fn loaded(scalar: Scalar, bytes: &[u8]) -> Cow<'_, [f32]> {
    if is_single(scalar) {
        return Cow::Borrowed(bytemuck::cast_slice(bytes));
    }
    Cow::Owned(bytemuck::cast_slice::<u8, f16>(bytes).to_f32_vec())
}

/// Always in browsers, where conversions would only be fetched.
fn is_single(scalar: Scalar) -> bool {
    cfg!(target_arch = "wasm32") || scalar == Scalar::F32
}

/// The extents of a kernel in memory: `[tap][row_inputs][row_outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLayout {
    /// Number of taps.
    pub taps: usize,
    /// Input channels within a group, padded to whole slices where inputs are read by the slice.
    pub row_inputs: usize,
    /// Output channels, padded to whole slices.
    pub row_outputs: usize,
}

impl KernelLayout {
    /// The layout of a convolution's kernel.
    pub fn of(conv: &Conv2d) -> Self {
        let inputs = conv.channels_per_group();
        let row_inputs = if conv.groups == 1 && inputs > 4 { slices(inputs) * 4 } else { inputs };
        Self { taps: conv.taps(), row_inputs, row_outputs: slices(conv.out_channels) * 4 }
    }

    /// The layout of a kernel that may have been transformed, which then has places in place of taps.
    pub fn with(conv: &Conv2d, transformed: Option<Winograd>) -> Self {
        let layout = Self::of(conv);
        match transformed {
            Some(size) => Self { taps: size.places(), row_inputs: slices(layout.row_inputs) * 4, ..layout },
            None => layout,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.taps * self.row_inputs * self.row_outputs
    }

    /// Whether there is nothing in it; never, for a valid convolution.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// OIHW to this layout.
    pub fn pack(&self, conv: &Conv2d, oihw: &[f32]) -> Vec<f32> {
        pack_rows(oihw, conv.channels_per_group(), *self)
    }
}

/// W as the fold wants it, `[s][input within the group][output]`, from `[output][input][s]`.
pub fn pack_w(conv: &Conv2d, s: usize, w: &[f32]) -> Vec<f32> {
    let inputs = conv.channels_per_group();
    pack_rows(w, inputs, KernelLayout { taps: s, row_inputs: inputs, row_outputs: conv.out_channels })
}

/// D as the fold wants it, `[tap][s][channel]`, from `[channel][tap][s]`.
pub fn pack_d(conv: &Conv2d, d: &[f32]) -> Vec<f32> {
    let row = d.len() / conv.in_channels;
    let mut packed = vec![0.0; d.len()];
    for (channel, matrix) in d.chunks_exact(row).enumerate() {
        for (at, &value) in matrix.iter().enumerate() {
            packed[at * conv.in_channels + channel] = value;
        }
    }
    packed
}

/// `[output][input][tap]` to `[tap][input][output]` with padded rows.
fn pack_rows(values: &[f32], inputs: usize, to: KernelLayout) -> Vec<f32> {
    /// So that whole cache lines are written.
    const OUTPUTS: usize = 16;
    let mut packed = vec![0.0; to.len()];
    let row = inputs * to.taps;
    for (block, rows) in values.chunks(OUTPUTS * row).enumerate() {
        for at in 0..row {
            let (input, tap) = (at / to.taps, at % to.taps);
            let first = (tap * to.row_inputs + input) * to.row_outputs + block * OUTPUTS;
            let outputs = rows.iter().skip(at).step_by(row);
            packed[first..].iter_mut().zip(outputs).for_each(|(packed, &value)| *packed = value);
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_undoes_packing() {
        let shape = [2, 5, 3, 2];
        let map: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let mut packed = vec![0.0; map_len(shape)];
        pack_map(shape, &map, &mut packed);
        assert_eq!(packed[..5], [0.0, 6.0, 12.0, 18.0, 1.0]);
        assert_eq!(unpack_map(shape, &packed), map);
    }

    #[test]
    fn loading_undoes_storing() {
        let values = [1.0, -0.5, 65504.0, 0.0];
        for (scalar, bytes) in [(Scalar::F32, 16), (Scalar::F16, 8)] {
            let stored = stored(scalar, &values);
            assert_eq!((stored.len(), &loaded(scalar, &stored)[..]), (bytes, &values[..]));
        }
        assert_eq!(loaded(Scalar::F16, &stored(Scalar::F16, &[1.0001, 7e4]))[..], [1.0, f32::INFINITY]);
    }

    #[test]
    fn kernels_are_padded_to_slices_where_they_are_read_by_the_slice() {
        let stem = KernelLayout::of(&Conv2d::new(3, 32, [3, 3]));
        assert_eq!((stem.row_inputs, stem.row_outputs), (3, 32));
        let dense = KernelLayout::of(&Conv2d::new(6, 10, [1, 1]));
        assert_eq!((dense.row_inputs, dense.row_outputs), (8, 12));
        let depthwise = KernelLayout::of(&Conv2d { groups: 6, ..Conv2d::new(6, 6, [3, 3]) });
        assert_eq!((depthwise.row_inputs, depthwise.row_outputs), (1, 8));
    }
}
