//! Convolutions as products of matrices: all but the depthwise ones.
//!
//! The left matrix (output pixels × taps·channels) is never built. Where im2col would copy a pixel, a table holds a
//! pointer to it; a pixel of the padding points to zeros. With NHWC the channels behind a pointer are contiguous, so the
//! innermost loop runs as over a matrix.

use std::cell::RefCell;
use std::ops::Range;

use rten_simd::{Isa, SimdOp};

use super::activation::{self, Finish};
use super::geometry::Geometry;
use super::microkernel::Tile;
use super::pack::Packed;
use super::parallel::{self, SharedMut};
use super::worker_group::{self, WorkerGroup};
use crate::network::Conv2d;

/// Input elements that the pixels of a task may take: half of a common second-level cache.
const TASK_ELEMENTS: usize = 64 * 1024;
/// Chunks of pixels are multiples of this, and so of the largest tiles.
const TILE_ROWS: usize = 24;

/// One convolution to compute.
pub(super) struct Matmul<'a> {
    pub(super) conv: &'a Conv2d,
    pub(super) geometry: Geometry,
    pub(super) packed: &'a Packed,
    pub(super) input: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) finish: Finish,
    /// As many zeros as input channels times columns of the kernel.
    pub(super) zeros: &'a [f32],
}

impl Matmul<'_> {
    pub(super) fn run(&self, workers: Option<&dyn WorkerGroup>, output: &mut [f32]) {
        let (pixels, panels) = (self.geometry.pixels(), self.packed.panels());
        assert!(self.input.len() >= self.geometry.batch * self.input_pixels() * self.conv.in_channels);
        assert!(self.zeros.len() >= self.depth().1.max(self.conv.in_channels));
        assert!(output.len() >= pixels * self.conv.out_channels);
        assert!(self.residual.is_none_or(|residual| residual.len() >= pixels * self.conv.out_channels));

        let outputs = self.conv.out_channels;
        if pixels == 1 {
            let start = |panel: usize| panels.get(panel).map_or(outputs, |panel| panel.output);
            worker_group::split_work(workers, output, panels.len(), start, |panels, output| {
                self.run_part(0..1, panels, output)
            });
        } else {
            let start = |pixel: usize| pixel * outputs;
            worker_group::split_work(workers, output, pixels, start, |pixels, output| {
                self.run_part(pixels, 0..panels.len(), output)
            });
        }
    }

    /// Some pixels × some panels.
    #[inline(never)]
    fn run_part(&self, pixels: Range<usize>, panels: Range<usize>, output: &mut [f32]) {
        if pixels.is_empty() {
            return;
        }
        let wanted = parallel::tasks();
        let fitting = (TASK_ELEMENTS / self.conv.in_channels).clamp(2 * TILE_ROWS, 20 * TILE_ROWS);
        let even = pixels.len().div_ceil(wanted).max(2 * TILE_ROWS);
        // Rounded, not rounded up: a small remainder would read all weights again for few pixels.
        let chunks = ((pixels.len() + fitting.min(even) / 2) / fitting.min(even)).max(1);
        let chunk = if chunks == 1 { pixels.len() } else { pixels.len().div_ceil(chunks).next_multiple_of(TILE_ROWS) };
        let chunks = pixels.len().div_ceil(chunk);
        let splits = wanted.div_ceil(chunks).min(panels.len());
        let output = SharedMut::new(output);
        parallel::for_each(chunks * splits, |task| {
            let (at, split) =
                (pixels.start + task / splits * chunk, parallel::part(panels.len(), task % splits, splits));
            Task {
                matmul: self,
                pixels: at..pixels.end.min(at + chunk),
                panels: panels.start + split.start..panels.start + split.end,
                output,
            }
            .run();
        });
    }

    fn input_pixels(&self) -> usize {
        self.geometry.input[0] * self.geometry.input[1]
    }

    /// Whether the taps of a kernel row count as one with all their channels, which are contiguous in memory: that
    /// keeps the innermost loop long where channels are few, as in the first layer of a network.
    fn joins_taps(&self) -> bool {
        /// With many channels the loop is long enough, and edges would be copied at length.
        const FEW: usize = 16;
        let [_, columns] = self.geometry.kernel;
        columns > 1 && self.geometry.dilation[1] == 1 && self.conv.groups == 1 && self.conv.in_channels <= FEW
    }

    /// Taps as the tile counts them, and channels of each.
    fn depth(&self) -> (usize, usize) {
        let [rows, columns] = self.geometry.kernel;
        if self.joins_taps() {
            (rows, columns * self.conv.in_channels)
        } else {
            (rows * columns, self.conv.channels_per_group())
        }
    }

    /// For every tap, where each of the output pixels finds its input.
    fn find_rows(&self, pixels: Range<usize>, table: &mut Table) {
        let (geometry, channels, count) = (&self.geometry, self.conv.in_channels, pixels.len());
        let (taps, _) = self.depth();
        let [columns, width] = [geometry.kernel[1], geometry.output[1]];
        table.rows.clear();
        if geometry.is_identity() {
            let input = &self.input[pixels.start * channels..][..count * channels];
            table.rows.extend(input.chunks_exact(channels).map(<[f32]>::as_ptr));
            return;
        }
        table.rows.resize(count * taps, self.zeros.as_ptr());
        let row = |line: usize, ky: usize| {
            let (image, y) = (line / geometry.output[0], line % geometry.output[0]);
            let iy = geometry.inside(0, y, ky)?;
            Some((image * geometry.input[0] + iy) * geometry.input[1])
        };
        let joins = self.joins_taps();
        // Where all taps of a row are inside.
        let [first, last] = [0, columns - 1].map(|tap| geometry.outputs_inside(1, tap));
        let whole = first.start..last.end;
        table.edges.clear();
        if joins {
            // All at once, for pointers into it must stay valid.
            let lines = (pixels.end - 1) / width - pixels.start / width + 1;
            table.edges.resize(lines * (width - whole.len()) * taps * columns * channels, 0.0);
        }
        let mut edges = table.edges.chunks_exact_mut(columns * channels);
        let mut start = pixels.start;
        while start < pixels.end {
            let line = start / width;
            let end = ((line + 1) * width).min(pixels.end);
            // Of the line, and where in the table these are.
            let (xs, place) = (start - line * width..end - line * width, start - pixels.start);
            for ky in 0..geometry.kernel[0] {
                let Some(row) = row(line, ky) else { continue };
                if joins {
                    let rows = &mut table.rows[ky * count + place..][..xs.len()];
                    for (x, found) in xs.clone().zip(rows) {
                        if whole.contains(&x) {
                            let first = x * geometry.stride[1] - geometry.padding[1];
                            *found = self.input[(row + first) * channels..][..columns * channels].as_ptr();
                            continue;
                        }
                        let inside = geometry.taps_inside(1, x);
                        let Some(first) = geometry.inside(1, x, inside.start) else { continue };
                        let edge = edges.next().expect("a line has so many");
                        edge[inside.start * channels..inside.end * channels]
                            .copy_from_slice(&self.input[(row + first) * channels..][..inside.len() * channels]);
                        *found = edge.as_ptr();
                    }
                    continue;
                }
                for kx in 0..columns {
                    let inside = geometry.outputs_inside(1, kx);
                    let (from, to) = (inside.start.max(xs.start), inside.end.min(xs.end));
                    let Some(first) = (from < to).then(|| geometry.inside(1, from, kx)).flatten() else { continue };
                    let rows = &mut table.rows[(ky * columns + kx) * count + place..][from - xs.start..to - xs.start];
                    for (found, ix) in rows.iter_mut().zip((row + first..).step_by(geometry.stride[1])) {
                        *found = self.input[ix * channels..][..channels].as_ptr();
                    }
                }
            }
            start = end;
        }
    }
}

/// Where the pixels of a task are.
struct Table {
    rows: Vec<*const f32>,
    /// Rows of windows that reach beyond the left or right edge, with their zeros.
    edges: Vec<f32>,
}

/// Some pixels × some panels.
struct Task<'a> {
    matmul: &'a Matmul<'a>,
    pixels: Range<usize>,
    panels: Range<usize>,
    output: SharedMut<'a>,
}

impl Task<'_> {
    fn run(&self) {
        thread_local!(static TABLE: RefCell<Table> = const { RefCell::new(Table { rows: vec![], edges: vec![] }) });
        TABLE.with_borrow_mut(|table| {
            self.matmul.find_rows(self.pixels.clone(), table);
        });
        TABLE.with_borrow(|table| self.run_panels(&table.rows));
    }

    fn run_panels(&self, rows: &[*const f32]) {
        let Matmul { conv, packed, .. } = self.matmul;
        let (taps, channels) = self.matmul.depth();
        let count = self.pixels.len();
        for panel in &packed.panels()[self.panels.clone()] {
            let first = self.pixels.start * conv.out_channels + panel.output;
            let extent = (count - 1) * conv.out_channels + panel.outputs;
            let tile = Tile {
                rows: rows.as_ptr(),
                row_stride: count,
                taps,
                channel: panel.input,
                channels,
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
            unsafe { run_tiles(tile, count, panel.vectors, packed.lanes()) };
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

/// Cuts the pixels into tiles of nearly equal size, as large as there are registers for.
///
/// AVX2 has 16 registers: 6 × 2 or 12 × 1 accumulators, the weights and a pixel. AVX-512 has 32. Other instruction sets
/// have vectors of 4. (4 × 3 would suit 24 output channels, but takes all 16 registers, and the compiler spills.)
///
/// # Safety
/// As for [`Tile::run`].
unsafe fn run_tiles(tile: Tile, count: usize, vectors: usize, lanes: usize) {
    let most = if vectors == 2 && lanes <= 8 { 6 } else { 12 };
    let tiles = count.div_ceil(most);
    let (pixels, larger) = (count / tiles, count % tiles);
    // SAFETY: passed on; together the tiles have `count` pixels.
    unsafe {
        run_equal_tiles(tile, pixels + 1, larger, vectors);
        run_equal_tiles(tile.advance((pixels + 1) * larger), pixels, tiles - larger, vectors);
    }
}

/// `repeat` tiles of `pixels` pixels each.
unsafe fn run_equal_tiles(tile: Tile, pixels: usize, repeat: usize, vectors: usize) {
    if repeat == 0 {
        return;
    }
    macro_rules! sizes {
        ($($m:literal)*) => {
            match (vectors, pixels) {
                $(
                    (1, $m) => Tiles::<$m, 1> { tile, repeat }.dispatch(),
                    (2, $m) => Tiles::<$m, 2> { tile, repeat }.dispatch(),
                )*
                _ => unreachable!("{vectors} vectors, {pixels} pixels"),
            }
        };
    }
    sizes!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Tiles of one size: a function of its own, because the compiler gives up inlining vector operations in a function
/// that holds all sizes.
struct Tiles<const M: usize, const N: usize> {
    tile: Tile,
    repeat: usize,
}

impl<const M: usize, const N: usize> SimdOp for Tiles<M, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        for index in 0..self.repeat {
            // SAFETY: whoever makes one, which is `run_equal_tiles`, vouches for the pointers.
            unsafe { self.tile.advance(index * M).run::<I, M, N>(isa) };
        }
    }
}
