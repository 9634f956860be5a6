//! Maximum and mean over windows and over whole maps.

use super::geometry::Geometry;
use super::parallel;
use crate::plan::PoolKind;

/// Pools an NHWC map with `channels` channels.
pub(super) fn pool(kind: PoolKind, geometry: &Geometry, channels: usize, input: &[f32], output: &mut [f32]) {
    let [height, width] = geometry.output;
    let image = geometry.input[0] * geometry.input[1] * channels;
    parallel::for_each_chunk(output, width * channels, |line, output| {
        let (input, y) = (&input[line / height * image..][..image], line % height);
        for (x, output) in output.chunks_exact_mut(channels).enumerate() {
            let window = window(geometry, channels, input, y, x);
            match kind {
                PoolKind::Max => maximum(window, output),
                PoolKind::Mean { count_include_pad } => {
                    sum(window, output);
                    scale(output, count(geometry, count_include_pad, y, x));
                }
            }
        }
    });
}

/// Pools all pixels of every image.
pub(super) fn global(kind: PoolKind, pixels: usize, channels: usize, input: &[f32], output: &mut [f32]) {
    /// Channels of a task: some cache lines of every pixel.
    const CHANNELS: usize = 128;
    let per_image = channels.div_ceil(CHANNELS);
    let images = output.len() / channels;
    let output = parallel::SharedMut::new(output);
    parallel::for_each(images * per_image, |task| {
        let (image, start) = (task / per_image, task % per_image * CHANNELS);
        let len = CHANNELS.min(channels - start);
        // SAFETY: tasks have different images or channels.
        let output = unsafe { std::slice::from_raw_parts_mut(output.at(image * channels + start, len), len) };
        let image = &input[image * pixels * channels..][..pixels * channels];
        let window = image.chunks_exact(channels).map(|pixel| &pixel[start..start + len]);
        match kind {
            PoolKind::Max => maximum(window, output),
            PoolKind::Mean { .. } => {
                sum(window, output);
                scale(output, pixels);
            }
        }
    });
}

/// By how much the sum of a window is divided.
pub(super) fn count(geometry: &Geometry, include_pad: bool, y: usize, x: usize) -> usize {
    if include_pad {
        extent(geometry, 0, y) * extent(geometry, 1, x)
    } else {
        geometry.taps_inside(0, y).len() * geometry.taps_inside(1, x).len()
    }
}

/// The pixels of a window that lie inside the input.
fn window<'a>(
    geometry: &'a Geometry,
    channels: usize,
    input: &'a [f32],
    y: usize,
    x: usize,
) -> impl Iterator<Item = &'a [f32]> {
    places(geometry, y, x).map(move |at| &input[at * channels..][..channels])
}

/// Where they lie in their image, row by row.
pub(super) fn places(geometry: &Geometry, y: usize, x: usize) -> impl Iterator<Item = usize> {
    geometry.taps_inside(0, y).filter_map(move |ky| geometry.inside(0, y, ky)).flat_map(move |iy| {
        let columns = geometry.taps_inside(1, x).filter_map(move |kx| geometry.inside(1, x, kx));
        columns.map(move |ix| iy * geometry.input[1] + ix)
    })
}

/// Positions of a window along an axis that lie in the input or its padding: those beyond, which rounding up the output
/// size adds, do not count.
fn extent(geometry: &Geometry, axis: usize, output: usize) -> usize {
    let end = geometry.input[axis] + geometry.padding[axis] + geometry.padding[axis + 2];
    let start = output * geometry.stride[axis];
    end.saturating_sub(start).div_ceil(geometry.dilation[axis]).min(geometry.kernel[axis])
}

/// Whether a value takes the place of the largest one before it: NaN wins, as in ONNX and PyTorch, and the first NaN stays.
#[cfg(training)]
pub(super) fn is_larger(value: f32, largest: f32) -> bool {
    !largest.is_nan() && (value > largest || value.is_nan())
}

fn maximum<'a>(window: impl Iterator<Item = &'a [f32]>, output: &mut [f32]) {
    output.fill(f32::NEG_INFINITY);
    for pixel in window {
        for (max, &value) in output.iter_mut().zip(pixel) {
            // What is NaN already compares as not less, so it stays.
            *max = if value > *max || value.is_nan() { value } else { *max };
        }
    }
}

fn sum<'a>(window: impl Iterator<Item = &'a [f32]>, output: &mut [f32]) {
    output.fill(0.0);
    for pixel in window {
        for (sum, &value) in output.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
}

fn scale(output: &mut [f32], count: usize) {
    let factor = 1.0 / count.max(1) as f32;
    output.iter_mut().for_each(|value| *value *= factor);
}
