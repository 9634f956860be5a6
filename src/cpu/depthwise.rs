//! Depthwise convolutions: one filter per channel.
//!
//! A vector is some channels of one pixel. A tile is [`WIDTH`] pixels of an output row; every input vector is loaded
//! once and meets all the taps that want it. Rows and columns outside the input are left out rather than read.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use super::activation::{self, Finish, clamp};
use super::aligned::Aligned;
use super::compose;
use super::geometry::Geometry;
use super::parallel::{self, SharedMut};
use super::worker_group::{self, WorkerGroup};
use crate::doconv::Composed;
use crate::network::{Activation, Conv2d};

/// Pixels of a tile. The maps of ImageNet networks are multiples of 7 wide, and 7 accumulators, 5 taps and an input
/// fit the 16 registers of AVX2.
const WIDTH: usize = 7;
/// Of the first-level cache, what the rows that a tile reads may fill.
const CACHE_BYTES: usize = 16 * 1024;

/// The filters of all channels, in blocks of as many channels as a vector has lanes.
///
/// The last block ends with the last channel, and so may compute channels again that the one before it computed.
pub(super) struct Filters {
    lanes: usize,
    channels: usize,
    taps: usize,
    /// Per block: the bias, then every tap.
    blocks: Aligned,
}

impl Filters {
    /// Whether this module can compute a convolution.
    pub(super) fn suits(conv: &Conv2d, lanes: usize) -> bool {
        conv.groups == conv.in_channels && conv.out_channels == conv.in_channels && conv.in_channels >= lanes
    }

    pub(super) fn new(conv: &Conv2d, lanes: usize, bias: &[f32]) -> Self {
        let (channels, taps) = (conv.out_channels, conv.taps());
        let blocks = Aligned::zeros(channels.div_ceil(lanes) * (taps + 1) * lanes);
        let mut filters = Self { lanes, channels, taps, blocks };
        filters.set_bias(bias);
        filters
    }

    pub(super) fn set_bias(&mut self, bias: &[f32]) {
        for block in 0..self.count() {
            let (at, channel) = (self.offset(block), self.channel(block));
            self.blocks[at..][..self.lanes].copy_from_slice(&bias[channel..][..self.lanes]);
        }
    }

    /// Takes over the values of an OIHW kernel.
    pub(super) fn fill(&mut self, kernel: &[f32]) {
        for block in 0..self.count() {
            let (at, first) = (self.offset(block) + self.lanes, self.channel(block));
            let kernel = &kernel[first * self.taps..][..self.lanes * self.taps];
            fill_block(self.lanes, kernel, &mut self.blocks[at..]);
        }
    }

    /// Takes over what W and D give, and says whether that is finite.
    pub(super) fn compose(&mut self, composed: &Composed) -> bool {
        let (lanes, taps, s, count) = (self.lanes, self.taps, composed.attributes.d_mul, self.count());
        let (channels, offsets): (Vec<_>, Vec<_>) = (0..count).map(|at| (self.channel(at), self.offset(at))).unzip();
        let blocks = SharedMut::new(&mut self.blocks);
        let finite = AtomicBool::new(true);
        let tasks = parallel::tasks().min(count);
        parallel::for_each(tasks, |task| {
            let mut kernel = vec![0.0; lanes * taps];
            for block in parallel::part(count, task, tasks) {
                let (d, w) =
                    (&composed.d.data()[channels[block] * taps * s..], &composed.w.data()[channels[block] * s..]);
                compose::Filters { d, w: &w[..lanes * s], s, kernel: &mut kernel }.dispatch();
                if !kernel.iter().all(|value| value.is_finite()) {
                    finite.store(false, Ordering::Relaxed);
                }
                let len = taps * lanes;
                // SAFETY: every block has its own place, and is one task's.
                let block = unsafe { std::slice::from_raw_parts_mut(blocks.at(offsets[block] + lanes, len), len) };
                fill_block(lanes, &kernel, block);
            }
        });
        finite.into_inner()
    }

    /// The OIHW kernel again.
    #[cfg(training)]
    pub(super) fn values(&self) -> Vec<f32> {
        let mut kernel = vec![0.0; self.channels * self.taps];
        for block in 0..self.count() {
            let at = self.offset(block) + self.lanes;
            for lane in 0..self.lanes {
                let filter = &mut kernel[(self.channel(block) + lane) * self.taps..][..self.taps];
                for (tap, value) in filter.iter_mut().enumerate() {
                    *value = self.blocks[at + tap * self.lanes + lane];
                }
            }
        }
        kernel
    }

    fn count(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    fn channel(&self, block: usize) -> usize {
        (block * self.lanes).min(self.channels - self.lanes)
    }

    fn offset(&self, block: usize) -> usize {
        block * (self.taps + 1) * self.lanes
    }
}

/// Brings the filters of a block's channels into lanes.
fn fill_block(lanes: usize, kernel: &[f32], block: &mut [f32]) {
    for (lane, filter) in kernel.chunks_exact(kernel.len() / lanes).enumerate() {
        for (taps, &value) in block.chunks_exact_mut(lanes).zip(filter) {
            taps[lane] = value;
        }
    }
}

/// One convolution to compute.
pub(super) struct Depthwise<'a> {
    pub(super) filters: &'a Filters,
    pub(super) geometry: Geometry,
    pub(super) input: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) finish: Finish,
}

impl Depthwise<'_> {
    pub(super) fn run(&self, workers: Option<&dyn WorkerGroup>, output: &mut [f32]) {
        let (geometry, channels) = (&self.geometry, self.filters.channels);
        let elements = geometry.pixels() * channels;
        assert!(self.input.len() >= geometry.batch * geometry.input[0] * geometry.input[1] * channels);
        assert!(output.len() >= elements && self.residual.is_none_or(|residual| residual.len() >= elements));

        let start = |line: usize| line * geometry.output[1] * channels;
        let lines = geometry.batch * geometry.output[0];
        worker_group::split_work(workers, output, lines, start, |lines, output| self.run_part(lines, output));
    }

    /// Some output rows.
    #[inline(never)]
    fn run_part(&self, lines: Range<usize>, output: &mut [f32]) {
        if lines.is_empty() {
            return;
        }
        let blocks = self.filters.count();
        let wanted = parallel::tasks();
        // Neighbouring blocks share cache lines: two threads had better not work on them.
        let splits = wanted.div_ceil(lines.len()).min(blocks.div_ceil(4)).max(1);
        // The last two blocks may overlap, so they stay together.
        let first_block = |split| if split == splits { blocks } else { split * (blocks - 1) / splits };
        let per_task = lines.len().div_ceil(wanted);
        let tasks = lines.len().div_ceil(per_task);
        let output = SharedMut::new(output);
        parallel::for_each(tasks * splits, |task| {
            let (at, split) = (lines.start + task / splits * per_task, task % splits);
            Task {
                depthwise: self,
                lines: at..lines.end.min(at + per_task),
                blocks: first_block(split)..first_block(split + 1),
                output,
            }
            .run();
        });
    }
}

/// Some output rows × some blocks of channels.
struct Task<'a> {
    depthwise: &'a Depthwise<'a>,
    lines: Range<usize>,
    blocks: Range<usize>,
    output: SharedMut<'a>,
}

impl Task<'_> {
    fn run(&self) {
        let Geometry { kernel, stride, dilation, .. } = self.depthwise.geometry;
        match (kernel[1], stride[1], dilation[1]) {
            (3, 1, 1) => Sliding::<3, 1>(self).dispatch(),
            (3, 2, 1) => Sliding::<3, 2>(self).dispatch(),
            (5, 1, 1) => Sliding::<5, 1>(self).dispatch(),
            (5, 2, 1) => Sliding::<5, 2>(self).dispatch(),
            _ => Sliding::<0, 0>(self).dispatch(),
        }
        if let Finish::Then(activation) = self.depthwise.finish {
            self.lines.clone().for_each(|line| self.activate(activation, line));
        }
    }

    /// Kernels `K` wide with horizontal stride `S`; `K = 0` stands for any.
    #[inline(always)]
    fn slide<I: Isa, const K: usize, const S: usize>(&self, isa: I) {
        let Depthwise { filters, geometry, .. } = self.depthwise;
        let width = geometry.output[1];
        // A few channels at a time, so that an input row is still in the first-level cache for the output rows below.
        // But where only one or two cache lines of a pixel would fit, prefetching whole pixels is worth more.
        let row_bytes = geometry.input[1] * geometry.kernel[0] * filters.lanes * size_of::<f32>();
        let fitting = CACHE_BYTES / row_bytes;
        let together = if fitting < 4 { self.blocks.len() } else { fitting };
        for start in self.blocks.clone().step_by(together) {
            let blocks = start..(start + together).min(self.blocks.end);
            for line in self.lines.clone() {
                let row = Row::new(geometry, filters.channels, line);
                let mut x = 0;
                while x < width {
                    if width < WIDTH {
                        self.tile::<I, K, S, 1, true>(isa, &row, x, blocks.clone());
                        x += 1;
                        continue;
                    }
                    // The last tile ends with the row, even where it computes some pixels again.
                    let start = x.min(width - WIDTH);
                    let last = geometry.at(1, start + WIDTH - 1, geometry.kernel[1] - 1);
                    if geometry.at(1, start, 0) >= 0 && last < geometry.input[1] as isize {
                        self.tile::<I, K, S, WIDTH, false>(isa, &row, start, blocks.clone());
                    } else {
                        self.tile::<I, K, S, WIDTH, true>(isa, &row, start, blocks.clone());
                    }
                    x += WIDTH;
                }
            }
        }
    }

    /// Only when a row is complete, for tiles may compute a pixel again, and blocks a channel.
    fn activate(&self, activation: Activation, line: usize) {
        let Depthwise { filters, geometry, .. } = self.depthwise;
        let start = filters.channel(self.blocks.start);
        let len = filters.channel(self.blocks.end - 1) + filters.lanes - start;
        for pixel in line * geometry.output[1]..(line + 1) * geometry.output[1] {
            // SAFETY: this task has just written them.
            let stored =
                unsafe { std::slice::from_raw_parts_mut(self.output.at(pixel * filters.channels + start, len), len) };
            activation::apply(activation, stored);
        }
    }

    /// `P` pixels of an output row from `x` on; `CHECKED` where some columns lie outside the input.
    #[inline(always)]
    fn tile<I: Isa, const K: usize, const S: usize, const P: usize, const CHECKED: bool>(
        &self,
        isa: I,
        row: &Row,
        x: usize,
        blocks: Range<usize>,
    ) {
        let Depthwise { filters, geometry, input, residual, finish } = self.depthwise;
        let ops = isa.f32();
        let (lanes, channels) = (ops.len(), filters.channels);
        let left = geometry.at(1, x, 0);
        let columns = geometry.input[1] as isize;
        let pixel = row.pixel + x;
        // One bit for each input column of the tile that is there.
        let mut inside = 0u32;
        if CHECKED && K > 0 {
            for index in 0..(P - 1) * S + K {
                inside |= u32::from((0..columns).contains(&(left + index as isize))) << index;
            }
        }
        for block in blocks {
            let channel = filters.channel(block);
            let weights = filters.blocks[filters.offset(block)..].as_ptr();
            // SAFETY: `Depthwise::run` checked the lengths; rows, columns and channels are inside the maps; tasks
            // differ in their rows or in their blocks, and blocks that overlap belong to one task.
            unsafe {
                let mut sums = [ops.load_ptr(weights); P];
                let mut start = input.as_ptr().wrapping_add(row.input + channel);
                let mut weights = weights.add((1 + row.taps.start * geometry.kernel[1]) * lanes);
                for _ in row.taps.clone() {
                    if K == 0 {
                        for kx in 0..geometry.kernel[1] {
                            let w = ops.load_ptr(weights.add(kx * lanes));
                            for (p, sum) in sums.iter_mut().enumerate() {
                                let ix = geometry.at(1, x + p, kx);
                                if !CHECKED || (0..columns).contains(&ix) {
                                    let value = ops.load_ptr(start.wrapping_offset(ix * channels as isize));
                                    *sum = ops.mul_add(value, w, *sum);
                                }
                            }
                        }
                    } else {
                        let mut taps = [ops.zero(); K];
                        for (kx, tap) in taps.iter_mut().enumerate() {
                            *tap = ops.load_ptr(weights.add(kx * lanes));
                        }
                        let mut at = start.wrapping_offset(left * channels as isize);
                        // Written out, because the compiler must know every index to keep the arrays in registers.
                        macro_rules! columns {
                            ($($index:literal)*) => {$(
                                if $index < (P - 1) * S + K {
                                    if !CHECKED || inside & (1 << $index) != 0 {
                                        meet::<I, K, S, P, $index>(isa, ops.load_ptr(at), &taps, &mut sums);
                                    }
                                    at = at.wrapping_add(channels);
                                }
                            )*};
                        }
                        columns!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
                        let _ = at;
                    }
                    start = start.wrapping_add(row.step);
                    weights = weights.wrapping_add(geometry.kernel[1] * lanes);
                }
                if let Some(residual) = residual {
                    let residual = residual.as_ptr().add(pixel * channels + channel);
                    for (p, sum) in sums.iter_mut().enumerate() {
                        *sum = ops.add(*sum, ops.load_ptr(residual.add(p * channels)));
                    }
                }
                if let Finish::Clamp(low, high) = *finish {
                    for sum in &mut sums {
                        *sum = clamp(isa, *sum, low, high);
                    }
                }
                let stored = self.output.at(pixel * channels + channel, (P - 1) * channels + lanes);
                for (p, sum) in sums.into_iter().enumerate() {
                    ops.store_ptr(sum, stored.add(p * channels));
                }
            }
        }
    }
}

/// [`Task::slide`] for one size of kernel: a function of its own, because the compiler gives up inlining vector
/// operations in a function that holds all sizes.
struct Sliding<'a, const K: usize, const S: usize>(&'a Task<'a>);

impl<const K: usize, const S: usize> SimdOp for Sliding<'_, K, S> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        self.0.slide::<I, K, S>(isa);
    }
}

/// What the tiles of an output row have in common.
struct Row {
    /// First pixel of the output row.
    pixel: usize,
    /// Rows of the kernel that lie inside the input.
    taps: Range<usize>,
    /// Where the input row of the first of them starts, and elements from one to the next.
    input: usize,
    step: usize,
}

impl Row {
    fn new(geometry: &Geometry, channels: usize, line: usize) -> Self {
        let (image, y) = (line / geometry.output[0], line % geometry.output[0]);
        let taps = geometry.taps_inside(0, y);
        let first = geometry.inside(0, y, taps.start).unwrap_or(0);
        let width = geometry.input[1] * channels;
        Self {
            pixel: line * geometry.output[1],
            taps,
            input: (image * geometry.input[0] + first) * width,
            step: geometry.dilation[0] * width,
        }
    }
}

/// Adds the input column `INDEX` of a tile to the pixels that have a tap there.
#[inline(always)]
fn meet<I: Isa, const K: usize, const S: usize, const P: usize, const INDEX: usize>(
    isa: I,
    value: I::F32,
    taps: &[I::F32; K],
    sums: &mut [I::F32; P],
) {
    let ops = isa.f32();
    for (p, sum) in sums.iter_mut().enumerate() {
        if INDEX >= p * S && INDEX - p * S < K {
            *sum = ops.mul_add(value, taps[INDEX - p * S], *sum);
        }
    }
}
