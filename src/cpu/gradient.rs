//! Gradients: the backward passes that are not convolutions themselves.
//!
//! A kernel gradient is a product of matrices, output channels × pixels by pixels × (input channels · taps). Nothing is
//! gathered for it: with NHWC, the output channels of a pixel are a vector of `grad_output`, and the input channels that
//! it meets at a tap are contiguous scalars. Sums over long runs of pixels are made of the sums of short ones, so that
//! rounding errors stay small, and they do not depend on the number of threads.

use std::ops::Range;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

use super::geometry::Geometry;
use super::parallel::{self, SharedMut};
use crate::network::{Conv2d, Shape};
use crate::plan::PadGradient;

/// Input channels of a tile.
const COLUMNS: usize = 6;
/// Pixels that are summed up in registers: so many of both maps fit the first cache.
const RUN: usize = 256;
/// Tasks that are enough to occupy a machine; where there are fewer, the pixels are divided.
const ENOUGH_TASKS: usize = 32;
/// Pixels of a part that are worth a task.
const PART_PIXELS: usize = 4096;

/// The gradient of a convolution's kernel, to be computed.
pub(super) struct KernelGradient<'a> {
    pub(super) conv: &'a Conv2d,
    pub(super) geometry: Geometry,
    pub(super) input: &'a [f32],
    pub(super) grad_output: &'a [f32],
}

impl KernelGradient<'_> {
    /// Writes `[out][tap][input channel of the group]`.
    pub(super) fn run(&self, output: &mut [f32]) {
        let (conv, geometry) = (self.conv, &self.geometry);
        let pixels = geometry.pixels();
        assert!(self.input.len() >= geometry.batch * geometry.input[0] * geometry.input[1] * conv.in_channels);
        assert!(self.grad_output.len() >= pixels * conv.out_channels);
        let lines = geometry.batch * geometry.output[0];
        let blocks: Vec<Range<usize>> = self.blocks();
        let tasks = blocks.len() * conv.taps();
        let parts = ENOUGH_TASKS.div_ceil(tasks).min(pixels / PART_PIXELS).min(lines).max(1);
        let length = output.len();
        let mut partial = vec![0.0; if parts > 1 { length * parts } else { 0 }];
        let target = SharedMut::new(if parts > 1 { &mut partial } else { &mut *output });
        parallel::for_each(tasks * parts, |task| {
            let (part, task) = (task / tasks, task % tasks);
            let task = Task {
                gradient: self,
                outputs: blocks[task / conv.taps()].clone(),
                tap: task % conv.taps(),
                lines: part * lines / parts..(part + 1) * lines / parts,
            };
            let mut sums = vec![0.0; task.outputs.len() * conv.channels_per_group()];
            task.run(&mut sums);
            let cpg = conv.channels_per_group();
            for (o, sums) in task.outputs.clone().zip(sums.chunks_exact(cpg)) {
                let at = part * length + (o * conv.taps() + task.tap) * cpg;
                // SAFETY: tasks differ in their part, their outputs or their tap.
                unsafe { std::slice::from_raw_parts_mut(target.at(at, cpg), cpg) }.copy_from_slice(sums);
            }
        });
        if parts > 1 {
            parallel::for_each_chunk(output, 4096, |index, output| {
                // Another value may have lain here.
                output.fill(0.0);
                for part in partial.chunks_exact(length) {
                    output.iter_mut().zip(&part[index * 4096..]).for_each(|(sum, &value)| *sum += value);
                }
            });
        }
    }

    /// Output channels that are computed together: at most two vectors, of one group where the group has several.
    fn blocks(&self) -> Vec<Range<usize>> {
        let most = 2 * super::activation::lanes();
        let (groups, q) = if self.is_depthwise() {
            (1, self.conv.out_channels)
        } else {
            (self.conv.groups, self.conv.outputs_per_group())
        };
        let group = |group: usize| {
            let end = (group + 1) * q;
            (group * q..end).step_by(most).map(move |start| start..(start + most).min(end))
        };
        (0..groups).flat_map(group).collect()
    }

    /// Whether every output channel has an input channel of its own.
    fn is_depthwise(&self) -> bool {
        self.conv.is_depthwise() && self.conv.outputs_per_group() == 1
    }
}

/// Some outputs × all input channels of their group at one tap, for some lines of output pixels.
struct Task<'a> {
    gradient: &'a KernelGradient<'a>,
    outputs: Range<usize>,
    tap: usize,
    /// Rows of the output, of the whole batch.
    lines: Range<usize>,
}

impl Task<'_> {
    /// Fills `[output][channel]`, which is zero.
    fn run(&self, sums: &mut [f32]) {
        let KernelGradient { conv, geometry, .. } = self.gradient;
        let cpg = conv.channels_per_group();
        let [_, columns] = geometry.kernel;
        let tap = [self.tap / columns, self.tap % columns];
        let inside = (0..geometry.output[1]).filter(|&x| geometry.inside(1, x, tap[1]).is_some());
        let (first, count) = (inside.clone().next(), inside.count());
        let Some(first) = first else { return };
        let first_channel = self.outputs.start / conv.outputs_per_group() * cpg;
        let mut runs: Vec<Run> = vec![];
        let mut pixels = 0;
        for line in self.lines.clone() {
            let (image, y) = (line / geometry.output[0], line % geometry.output[0]);
            let Some(row) = geometry.inside(0, y, tap[0]) else { continue };
            let Some(column) = geometry.inside(1, first, tap[1]) else { continue };
            let from = (image * geometry.input[0] + row) * geometry.input[1] + column;
            let mut done = 0;
            while done < count {
                let some = (RUN - pixels).min(count - done);
                runs.push(Run {
                    input: (from + done * geometry.stride[1]) * conv.in_channels + first_channel,
                    gradient: (line * geometry.output[1] + first + done) * conv.out_channels + self.outputs.start,
                    count: some,
                });
                done += some;
                pixels += some;
                if pixels == RUN {
                    self.add(&runs, sums);
                    runs.clear();
                    pixels = 0;
                }
            }
        }
        self.add(&runs, sums);
    }

    /// Adds what some runs of pixels sum up to.
    fn add(&self, runs: &[Run], sums: &mut [f32]) {
        if runs.is_empty() {
            return;
        }
        let cpg = self.gradient.conv.channels_per_group();
        let lanes = super::activation::lanes();
        if self.gradient.is_depthwise() {
            Depthwise(Tile { task: self, runs, channel: 0, sums }).dispatch();
            return;
        }
        for start in (0..cpg).step_by(COLUMNS) {
            let tile = Tile { task: self, runs, channel: start, sums };
            let two = self.outputs.len() > lanes;
            macro_rules! sizes {
                ($($m:literal)*) => {
                    match (two, (cpg - start).min(COLUMNS)) {
                        $(
                            (false, $m) => Sized::<$m, 1>(tile).dispatch(),
                            (true, $m) => Sized::<$m, 2>(tile).dispatch(),
                        )*
                        (_, other) => unreachable!("{other} columns"),
                    }
                };
            }
            sizes!(1 2 3 4 5 6);
        }
    }
}

/// Neighbouring output pixels of a row: where the first of them, and the input it meets, lie.
struct Run {
    input: usize,
    gradient: usize,
    count: usize,
}

struct Tile<'a> {
    task: &'a Task<'a>,
    runs: &'a [Run],
    /// First input channel, within the group.
    channel: usize,
    sums: &'a mut [f32],
}

/// A tile of `M` input channels × `N` vectors of outputs: a function of its own, because the compiler gives up inlining
/// vector operations in a function that holds all sizes.
struct Sized<'a, const M: usize, const N: usize>(Tile<'a>);

impl<const M: usize, const N: usize> SimdOp for Sized<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Tile { task, runs, channel, sums } = self.0;
        let ops = isa.f32();
        let lanes = ops.len();
        let KernelGradient { conv, geometry, input, grad_output } = task.gradient;
        let outputs = task.outputs.len();
        let whole = outputs == N * lanes;
        let mask = ops.first_n_mask(outputs - (N - 1) * lanes);
        let (input_step, gradient_step) = (geometry.stride[1] * conv.in_channels, conv.out_channels);
        let mut acc = [[ops.zero(); N]; M];
        for run in runs {
            let inputs = &input[run.input + channel..][..(run.count - 1) * input_step + M];
            let gradients = &grad_output[run.gradient..][..(run.count - 1) * gradient_step + outputs];
            let (mut x, mut g) = (inputs.as_ptr(), gradients.as_ptr());
            for _ in 0..run.count {
                // SAFETY: the slices above hold `M` and `outputs` values at every step; lanes beyond are masked.
                unsafe {
                    let mut gradient = [ops.zero(); N];
                    for (v, gradient) in gradient.iter_mut().enumerate() {
                        *gradient = if whole || v + 1 < N {
                            ops.load_ptr(g.add(v * lanes))
                        } else {
                            ops.load_ptr_mask(g.add(v * lanes), mask)
                        };
                    }
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let value = ops.splat(*x.add(m));
                        for (acc, &gradient) in acc.iter_mut().zip(&gradient) {
                            *acc = ops.mul_add(gradient, value, *acc);
                        }
                    }
                }
                x = x.wrapping_add(input_step);
                g = g.wrapping_add(gradient_step);
            }
        }
        let cpg = conv.channels_per_group();
        for (m, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                let values = acc.to_array();
                for (lane, &value) in values.as_ref().iter().enumerate().take(outputs.saturating_sub(v * lanes)) {
                    sums[(v * lanes + lane) * cpg + channel + m] += value;
                }
            }
        }
    }
}

/// Up to two vectors of channels, each of which meets its own.
struct Depthwise<'a>(Tile<'a>);

impl SimdOp for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Tile { task, runs, sums, .. } = self.0;
        let ops = isa.f32();
        let lanes = ops.len();
        let KernelGradient { conv, geometry, input, grad_output } = task.gradient;
        let outputs = task.outputs.len();
        let (input_step, gradient_step) = (geometry.stride[1] * conv.in_channels, conv.out_channels);
        let masks = [outputs.min(lanes), outputs.saturating_sub(lanes)].map(|there| ops.first_n_mask(there));
        let mut acc = [ops.zero(); 2];
        for run in runs {
            let inputs = &input[run.input..][..(run.count - 1) * input_step + outputs];
            let gradients = &grad_output[run.gradient..][..(run.count - 1) * gradient_step + outputs];
            let (mut x, mut g) = (inputs.as_ptr(), gradients.as_ptr());
            for _ in 0..run.count {
                for (v, acc) in acc.iter_mut().enumerate() {
                    let (x, g) = (x.wrapping_add(v * lanes), g.wrapping_add(v * lanes));
                    // SAFETY: the slices above hold `outputs` values at every step; lanes beyond are masked.
                    *acc = unsafe { ops.mul_add(ops.load_ptr_mask(x, masks[v]), ops.load_ptr_mask(g, masks[v]), *acc) };
                }
                x = x.wrapping_add(input_step);
                g = g.wrapping_add(gradient_step);
            }
        }
        for (v, acc) in acc.into_iter().enumerate() {
            for (sum, &value) in sums.iter_mut().skip(v * lanes).zip(acc.to_array().as_ref()) {
                *sum += value;
            }
        }
    }
}

/// The sum over batch and pixels for every channel.
pub(super) fn bias(channels: usize, grad_output: &[f32], output: &mut [f32]) {
    let rows = grad_output.len() / channels;
    let chunk = 16 * RUN;
    let mut partial = vec![0.0; rows.div_ceil(chunk) * channels];
    parallel::for_each_chunk(&mut partial, channels, |index, sums| {
        let rows = &grad_output[index * chunk * channels..grad_output.len().min((index + 1) * chunk * channels)];
        for run in rows.chunks(RUN * channels) {
            let mut short = vec![0.0f32; channels];
            for pixel in run.chunks_exact(channels) {
                short.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += value);
            }
            sums.iter_mut().zip(short).for_each(|(sum, value)| *sum += value);
        }
    });
    output.fill(0.0);
    for sums in partial.chunks_exact(channels) {
        output.iter_mut().zip(sums).for_each(|(sum, &value)| *sum += value);
    }
}

/// One element for each of a padded row's, which is like `source(element)` of the row it continues.
pub(super) fn pad(step: &PadGradient, from: Shape, grad_output: &[f32], to: Shape, output: &mut [f32]) {
    let [_, channels, height, width] = to;
    let [_, _, in_height, in_width] = from;
    let sources = |axis: usize, padded: usize, extent: usize| -> Vec<Vec<usize>> {
        let mut copies = vec![vec![]; extent];
        for index in 0..padded {
            if let Some(at) = step.mode.source(index as isize - step.before[axis] as isize, extent) {
                copies[at].push(index);
            }
        }
        copies
    };
    let (rows, columns) = (sources(0, in_height, height), sources(1, in_width, width));
    parallel::for_each_chunk(output, width * channels, |line, output| {
        let (image, y) = (line / height, line % height);
        output.fill(0.0);
        for &row in &rows[y] {
            let row = &grad_output[(image * in_height + row) * in_width * channels..][..in_width * channels];
            for (columns, sums) in columns.iter().zip(output.chunks_exact_mut(channels)) {
                for &column in columns {
                    sums.iter_mut().zip(&row[column * channels..]).for_each(|(sum, &value)| *sum += value);
                }
            }
        }
    });
}
