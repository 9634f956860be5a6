//! Composing D and W in the order in which kernels lie packed: [`doconv::fold`](fn@crate::doconv::fold), for those who wait.
//!
//! Sums are f32, each over as few terms as D has columns; the f64 of `fold` is what the tests compare with.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::doconv::Composed;
use crate::network::{Conv2d, Pairing};

/// Whether all outputs of a group meet the same D at an input channel, so that a vector can be some outputs.
pub(super) fn shares_d(conv: &Conv2d, composed: &Composed) -> bool {
    conv.groups == 1 || composed.attributes.pairing == Pairing::Paper
}

/// Some output channels of one group that share every D.
pub(super) struct Panel<'a> {
    /// `[channels, taps, s]`.
    pub(super) d: &'a [f32],
    /// `[outputs, channels, s]`.
    pub(super) w: &'a [f32],
    pub(super) channels: usize,
    pub(super) s: usize,
    /// Lanes of the panel: at least as many as there are outputs.
    pub(super) width: usize,
    /// `[taps, channels, width]`.
    pub(super) weights: &'a mut [f32],
}

impl SimdOp for Panel<'_> {
    /// Whether all weights are finite.
    type Output = bool;

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) -> bool {
        let ops = isa.f32();
        let (s, taps) = (self.s, self.weights.len() / (self.channels * self.width));
        // W of one input channel, a row for every column of D and a lane for every output.
        let mut rows = vec![0.0; s * self.width];
        // Zero times anything that is not finite is not a number, and stays so.
        let mut check = ops.zero();
        for channel in 0..self.channels {
            for (lane, w) in self.w.chunks_exact(self.channels * s).enumerate() {
                for (row, &w) in rows.chunks_exact_mut(self.width).zip(&w[channel * s..][..s]) {
                    row[lane] = w;
                }
            }
            let d = &self.d[channel * taps * s..][..taps * s];
            let mut tap = 0;
            while tap < taps {
                let d = &d[tap * s..];
                // 9 are a 3×3 kernel, and leave registers for a row and for D.
                tap += match taps - tap {
                    9.. => self.taps::<I, 9>(isa, &rows, d, [channel, tap], &mut check),
                    3.. => self.taps::<I, 3>(isa, &rows, d, [channel, tap], &mut check),
                    _ => self.taps::<I, 1>(isa, &rows, d, [channel, tap], &mut check),
                };
            }
        }
        ops.sum(check) == 0.0
    }
}

impl Panel<'_> {
    /// `N` taps of one input channel, for all outputs; gives `N`.
    #[inline(always)]
    fn taps<I: Isa, const N: usize>(
        &mut self,
        isa: I,
        rows: &[f32],
        d: &[f32],
        [channel, first]: [usize; 2],
        check: &mut I::F32,
    ) -> usize {
        let ops = isa.f32();
        let d: [&[f32]; N] = std::array::from_fn(|tap| &d[tap * self.s..][..self.s]);
        for lane in (0..self.width).step_by(ops.len()) {
            let mut sums = [ops.zero(); N];
            for (column, row) in rows.chunks_exact(self.width).enumerate() {
                let w = ops.load(&row[lane..]);
                for (sum, d) in sums.iter_mut().zip(&d) {
                    *sum = ops.mul_add(ops.splat(d[column]), w, *sum);
                }
            }
            for (tap, sum) in sums.into_iter().enumerate() {
                *check = ops.mul_add(sum, ops.zero(), *check);
                let at = ((first + tap) * self.channels + channel) * self.width + lane;
                ops.store(sum, &mut self.weights[at..]);
            }
        }
        N
    }
}

/// Filters of channels that have a D each: the kernels of a depthwise convolution.
pub(super) struct Filters<'a> {
    /// `[channels, taps, s]`, and what follows of D.
    pub(super) d: &'a [f32],
    /// `[channels, s]`.
    pub(super) w: &'a [f32],
    pub(super) s: usize,
    /// `[channels, taps]`.
    pub(super) kernel: &'a mut [f32],
}

impl SimdOp for Filters<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let (s, lanes) = (self.s, ops.len());
        let taps = self.kernel.len() * s / self.w.len();
        // Whole vectors reach beyond a row of D, where they meet these zeros. NaN in the next row is in
        // the next kernel, too.
        let whole = s.next_multiple_of(lanes);
        let (mut padded, mut last) = (vec![0.0; whole], vec![0.0; whole]);
        let mut starts = (0..).step_by(s);
        for (kernel, w) in self.kernel.chunks_exact_mut(taps).zip(self.w.chunks_exact(s)) {
            padded[..s].copy_from_slice(w);
            for (value, start) in kernel.iter_mut().zip(&mut starts) {
                let row = self.d.get(start..start + whole).unwrap_or_else(|| {
                    last[..s].copy_from_slice(&self.d[start..start + s]);
                    &last
                });
                let vectors = row.chunks_exact(lanes).zip(padded.chunks_exact(lanes));
                let sum = vectors.fold(ops.zero(), |sum, (d, w)| ops.mul_add(ops.load(d), ops.load(w), sum));
                *value = ops.sum(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::cpu::kernel::Prepared;
    use crate::doconv::{Composed, fold};
    use crate::network::{Conv2d, DoConv, Pairing};
    use crate::plan::{Kernel, KernelSource};

    fn composed(conv: &Conv2d, d_mul: usize, pairing: Pairing) -> Composed {
        let mut random = oorandom::Rand32::new(1);
        let mut tensor = |shape: [usize; 3]| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.rand_float() * 2.0 - 1.0).collect();
            Tensor::new(shape, values).unwrap()
        };
        let w = tensor([conv.out_channels, conv.channels_per_group(), d_mul]);
        let d = tensor([conv.in_channels, conv.taps(), d_mul]);
        Composed { w, d, attributes: DoConv { d_mul, pairing } }
    }

    /// What the CPU path makes of a layer, OIHW.
    fn made(conv: &Conv2d, composed: &Composed) -> crate::Result<Vec<f32>> {
        let (name, bias) = ("layer".into(), vec![0.0; conv.out_channels]);
        let kernel = Kernel { name, conv: conv.clone(), source: KernelSource::Composed(composed.clone()), bias };
        Ok(Prepared::new(&kernel, true)?.values(conv))
    }

    #[test]
    fn composing_is_folding() {
        // One vector and several, with and without lanes that stay empty; filters whose last block overlaps.
        let plain = [(3, 5), (7, 16), (2, 40), (33, 1)].map(|(inputs, outputs)| (inputs, outputs, 1));
        let grouped = [(8, 12, 2), (6, 6, 2), (21, 21, 21), (64, 64, 64), (17, 34, 17)];
        for (inputs, outputs, groups) in plain.into_iter().chain(grouped) {
            for (kernel, surplus) in [([3, 3], 0), ([3, 3], 5), ([5, 5], 0), ([1, 2], 1), ([7, 1], 10)] {
                for pairing in [Pairing::Paper, Pairing::Torch] {
                    let conv = Conv2d { groups, ..Conv2d::new(inputs, outputs, kernel) };
                    let composed = composed(&conv, conv.taps() + surplus, pairing);
                    let (actual, expected) = (made(&conv, &composed).unwrap(), fold(&conv, &composed).unwrap());
                    for (at, (actual, expected)) in actual.iter().zip(expected.data()).enumerate() {
                        assert!((actual - expected).abs() < 5e-6, "{at} of {conv:?}: {actual}, expected {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_and_what_only_f32_cannot_hold_is_not() {
        for (inputs, groups) in [(2, 1), (64, 64)] {
            let conv = Conv2d { groups, ..Conv2d::new(inputs, inputs, [3, 3]) };
            let layer = |first: [f32; 3], last: f32| {
                let mut composed = composed(&conv, 9, Pairing::Paper);
                composed.w.data_mut()[..3].fill(1e30);
                composed.d.data_mut()[..3].copy_from_slice(&first);
                *composed.d.data_mut().last_mut().unwrap() = last;
                made(&conv, &composed)
            };
            for last in [f32::INFINITY, f32::NAN] {
                let error = layer([0.0; 3], last).unwrap_err().to_string();
                assert!(error.contains("layer") && error.contains("folding W and D gives"), "{error}");
            }
            let values = layer([1e30, -1e30, 0.0], 1.0).unwrap();
            assert!(values[0].abs() < 10.0, "{}", values[0]);
        }
    }
}
