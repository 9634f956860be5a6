//! Convolutions as products of matrices: all but the depthwise ones.
//!
//! The left matrix (output pixels × taps·channels) is never built. Where im2col would copy a pixel, a table holds a
//! pointer to it; a pixel of the padding points to zeros. With NHWC the channels behind a pointer are contiguous, so the
//! innermost loop runs as over a matrix.

use std::cell::RefCell;
use std::ops::Range;

use rten_simd::ops::BitOps;
use rten_simd::{Isa, SimdOp};

use super::activation::{self, Finish};
use super::geometry::Geometry;
use super::pack::Packed;
use super::parallel::{self, SharedMut};
use super::tile::Tile;
use crate::network::Conv2d;

/// Input elements that the pixels of a task may take: half of a common second-level cache.
const TASK_ELEMENTS: usize = 64 * 1024;
/// Every tile height divides this.
const TILE_ROWS: usize = 12;
/// So many tasks per thread even out what else the machine does.
const TASKS_PER_THREAD: usize = 4;

/// One convolution to compute.
pub(super) struct Matmul<'a> {
    pub(super) conv: &'a Conv2d,
    pub(super) geometry: Geometry,
    pub(super) packed: &'a Packed,
    pub(super) input: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) finish: Finish,
    /// As many zeros as there are input channels.
    pub(super) zeros: &'a [f32],
}

impl Matmul<'_> {
    pub(super) fn run(&self, output: &mut [f32]) {
        let (pixels, panels) = (self.geometry.pixels(), self.packed.panels().len());
        assert!(self.input.len() >= self.geometry.batch * self.input_pixels() * self.conv.in_channels);
        assert!(self.zeros.len() >= self.conv.in_channels);
        assert!(output.len() >= pixels * self.conv.out_channels);
        assert!(self.residual.is_none_or(|residual| residual.len() >= pixels * self.conv.out_channels));

        let wanted = if parallel::threads() > 1 { parallel::threads() * TASKS_PER_THREAD } else { 1 };
        let fitting = (TASK_ELEMENTS / self.conv.in_channels).clamp(4 * TILE_ROWS, 40 * TILE_ROWS);
        let even = pixels.div_ceil(wanted).next_multiple_of(TILE_ROWS).max(4 * TILE_ROWS);
        let chunk = fitting.min(even).next_multiple_of(TILE_ROWS);
        let chunks = pixels.div_ceil(chunk);
        let splits = wanted.div_ceil(chunks).min(panels);
        let output = SharedMut::new(output);
        parallel::for_each(chunks * splits, |task| {
            let (at, split) = (task / splits, task % splits);
            Task {
                matmul: self,
                pixels: at * chunk..pixels.min((at + 1) * chunk),
                panels: split * panels / splits..(split + 1) * panels / splits,
                output,
            }
            .dispatch();
        });
    }

    fn input_pixels(&self) -> usize {
        self.geometry.input[0] * self.geometry.input[1]
    }

    /// For every tap, where each of the output pixels finds its input.
    fn find_rows(&self, pixels: Range<usize>, rows: &mut Vec<*const f32>) {
        let geometry = &self.geometry;
        let count = pixels.len();
        rows.clear();
        rows.resize(count * geometry.taps(), self.zeros.as_ptr());
        for (index, pixel) in pixels.enumerate() {
            let (line, x) = (pixel / geometry.output[1], pixel % geometry.output[1]);
            let (image, y) = (line / geometry.output[0], line % geometry.output[0]);
            for ky in geometry.taps_inside(0, y) {
                let Some(iy) = geometry.inside(0, y, ky) else { continue };
                for kx in geometry.taps_inside(1, x) {
                    let Some(ix) = geometry.inside(1, x, kx) else { continue };
                    let at = (image * geometry.input[0] + iy) * geometry.input[1] + ix;
                    rows[(ky * geometry.kernel[1] + kx) * count + index] =
                        self.input[at * self.conv.in_channels..].as_ptr();
                }
            }
        }
    }
}

/// Some pixels × some panels.
struct Task<'a> {
    matmul: &'a Matmul<'a>,
    pixels: Range<usize>,
    panels: Range<usize>,
    output: SharedMut<'a>,
}

impl SimdOp for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        thread_local!(static ROWS: RefCell<Vec<*const f32>> = const { RefCell::new(vec![]) });
        // Taken rather than borrowed: the table outlives no task, but keeps its memory for the next.
        let mut rows = ROWS.take();
        self.matmul.find_rows(self.pixels.clone(), &mut rows);
        self.run(isa, &rows);
        ROWS.set(rows);
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run<I: Isa>(&self, isa: I, rows: &[*const f32]) {
        let Matmul { conv, geometry, packed, .. } = self.matmul;
        let count = self.pixels.len();
        for panel in &packed.panels()[self.panels.clone()] {
            let first = self.pixels.start * conv.out_channels + panel.output;
            let extent = (count - 1) * conv.out_channels + panel.outputs;
            let tile = Tile {
                rows: rows.as_ptr(),
                row_stride: count,
                taps: geometry.taps(),
                channel: panel.input,
                channels: conv.channels_per_group(),
                weights: packed.weights(panel).as_ptr(),
                bias: packed.bias(panel).as_ptr(),
                residual: self.matmul.residual.map(|residual| residual[first..][..extent].as_ptr()),
                // SAFETY: tasks differ in their pixels or in their panels, and tiles write no lanes beyond a panel's.
                output: unsafe { self.output.at(first, extent) },
                output_stride: conv.out_channels,
                outputs: panel.outputs,
                finish: self.matmul.finish,
            };
            // SAFETY: `rows` has `taps` rows of `count` pointers to pixels of `in_channels` elements, checked in
            // `Matmul::run` and by the slicing in `find_rows`; `Packed` holds whole panels; the rest is checked above.
            unsafe { run_tiles(isa, tile, count, panel.vectors) };
            if let Finish::Then(activation) = self.matmul.finish {
                for pixel in 0..count {
                    let at = first + pixel * conv.out_channels;
                    // SAFETY: this task has just written them.
                    let stored =
                        unsafe { std::slice::from_raw_parts_mut(self.output.at(at, panel.outputs), panel.outputs) };
                    activation::apply(activation, stored);
                }
            }
        }
    }
}

/// Tiles of as many pixels as there are registers for, then smaller ones.
///
/// AVX2 has 16 registers: 6 × 2 accumulators, 2 vectors of weights and a pixel. AVX-512 has 32. Other instruction sets
/// have vectors of 4.
#[inline(always)]
unsafe fn run_tiles<I: Isa>(isa: I, tile: Tile, count: usize, vectors: usize) {
    let wide = isa.f32().len() > 8;
    let mut done = 0;
    // SAFETY: passed on, for pixels below `count`.
    unsafe {
        macro_rules! tiles {
            ($m:literal, $n:literal) => {
                while count - done >= $m {
                    tile.advance(done).run::<I, $m, $n>(isa);
                    done += $m;
                }
            };
        }
        if vectors == 1 {
            tiles!(12, 1);
            tiles!(8, 1);
            tiles!(4, 1);
            tiles!(2, 1);
            tiles!(1, 1);
        } else {
            if wide {
                tiles!(12, 2);
            }
            tiles!(6, 2);
            tiles!(5, 2);
            tiles!(4, 2);
            tiles!(3, 2);
            tiles!(2, 2);
            tiles!(1, 2);
        }
    }
}
