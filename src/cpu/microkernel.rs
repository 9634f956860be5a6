//! The matrix microkernel: the innermost loop, for one register tile.
#![expect(clippy::needless_range_loop, reason = "indices are what pointers and accumulators have in common")]

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd};

use super::activation::{Finish, clamp};

/// What the tiles of one panel have in common.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// `taps` rows of `row_stride` pointers: to the first input channel of the pixel that each output pixel meets
    /// there, or to zeros.
    pub(super) rows: *const *const f32,
    pub(super) row_stride: usize,
    pub(super) taps: usize,
    /// First input channel of the group, and how many it has.
    pub(super) channel: usize,
    pub(super) channels: usize,
    /// `taps · channels` rows of weights, one lane per output channel.
    pub(super) weights: *const f32,
    pub(super) bias: *const f32,
    /// Of the first pixel and the first output channel.
    pub(super) residual: Option<*const f32>,
    pub(super) output: *mut f32,
    /// Elements from one output pixel to the next.
    pub(super) output_stride: usize,
    /// Output channels that are there: lanes beyond are not stored.
    pub(super) outputs: usize,
    pub(super) finish: Finish,
}

impl Tile {
    /// The tile `pixels` further on.
    #[inline(always)]
    pub(super) fn advance(self, pixels: usize) -> Self {
        let offset = pixels * self.output_stride;
        Self {
            rows: self.rows.wrapping_add(pixels),
            residual: self.residual.map(|residual| residual.wrapping_add(offset)),
            output: self.output.wrapping_add(offset),
            ..self
        }
    }

    /// Computes `M` pixels × `N` vectors of output channels, all accumulators in registers.
    ///
    /// # Safety
    /// All pointers must be valid for the extents given, the output for writing and by nobody else.
    #[inline(always)]
    pub(super) unsafe fn run<I: Isa, const M: usize, const N: usize>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let mut sums = [[ops.zero(); N]; M];
        // SAFETY: the caller vouches for the pointers; every offset below is within the extents given with them.
        unsafe {
            for v in 0..N {
                let bias = ops.load_ptr(self.bias.add(v * lanes));
                for row in &mut sums {
                    row[v] = bias;
                }
            }
            let mut weights = self.weights;
            for tap in 0..self.taps {
                let rows = self.rows.add(tap * self.row_stride);
                let mut pixels = [std::ptr::null(); M];
                for (m, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = (*rows.add(m)).add(self.channel);
                }
                for k in 0..self.channels {
                    let mut w = [ops.zero(); N];
                    for (v, w) in w.iter_mut().enumerate() {
                        *w = ops.load_ptr(weights.add(v * lanes));
                    }
                    for m in 0..M {
                        let x = ops.splat(*pixels[m].add(k));
                        for v in 0..N {
                            sums[m][v] = ops.mul_add(x, w[v], sums[m][v]);
                        }
                    }
                    weights = weights.add(N * lanes);
                }
            }
            if self.outputs == N * lanes {
                self.store::<I, M, N>(isa, sums);
            } else {
                self.store_some::<I, M, N>(isa, sums);
            }
        }
    }

    #[inline(always)]
    unsafe fn store<I: Isa, const M: usize, const N: usize>(self, isa: I, mut sums: [[I::F32; N]; M]) {
        let ops = isa.f32();
        let lanes = ops.len();
        // SAFETY: as in `run`, whose caller also says that all lanes are there.
        unsafe {
            if let Some(residual) = self.residual {
                for m in 0..M {
                    for v in 0..N {
                        let residual = ops.load_ptr(residual.add(m * self.output_stride + v * lanes));
                        sums[m][v] = ops.add(sums[m][v], residual);
                    }
                }
            }
            if let Finish::Clamp(low, high) = self.finish {
                for row in &mut sums {
                    for sum in row {
                        *sum = clamp(isa, *sum, low, high);
                    }
                }
            }
            for m in 0..M {
                for v in 0..N {
                    ops.store_ptr(sums[m][v], self.output.add(m * self.output_stride + v * lanes));
                }
            }
        }
    }

    /// [`Tile::store`] where lanes are missing: whole vectors, then single values, since masked stores are slow on many
    /// CPUs.
    #[inline(always)]
    unsafe fn store_some<I: Isa, const M: usize, const N: usize>(self, isa: I, sums: [[I::F32; N]; M]) {
        let ops = isa.f32();
        let lanes = ops.len();
        for m in 0..M {
            for v in 0..N {
                let there = self.outputs.saturating_sub(v * lanes).min(lanes);
                let offset = m * self.output_stride + v * lanes;
                let mut sum = sums[m][v];
                // SAFETY: as in `run`; `there` lanes are.
                unsafe {
                    if let Some(residual) = self.residual {
                        let mask = ops.first_n_mask(there);
                        sum = ops.add(sum, ops.load_ptr_mask(residual.wrapping_add(offset), mask));
                    }
                    if let Finish::Clamp(low, high) = self.finish {
                        sum = clamp(isa, sum, low, high);
                    }
                    let output = self.output.wrapping_add(offset);
                    if there == lanes {
                        ops.store_ptr(sum, output);
                    } else {
                        for (lane, value) in sum.to_array().into_iter().enumerate().take(there) {
                            *output.add(lane) = value;
                        }
                    }
                }
            }
        }
    }
}
