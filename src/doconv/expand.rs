//! The way back: W and D for an ordinary kernel, with the function preserved.

use super::add_identity;
use crate::network::{Conv2d, DoConv, Pairing};
use crate::{Error, Result, Tensor};

/// How plain kernels become W and D.
#[derive(Clone, Copy, Debug)]
pub struct Expansion {
    /// Depth multiplier; `None`: the layer's own, or the number of taps where it has none.
    pub d_mul: Option<usize>,
    /// Standard deviation of the residual D, times √taps; 0: no residual.
    pub jitter: f64,
    /// Makes the residual D reproducible.
    pub seed: u64,
}

/// An expanded layer.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// `[out, cpg, S]`.
    pub w: Tensor,
    /// The trainable residual, `[in, K, S]`: the effective D less the identity.
    pub d_residual: Tensor,
    /// Depth multiplier and pairing.
    pub attributes: DoConv,
}

impl Expansion {
    /// Finds W and D such that folding them gives `kernel` (OIHW) again.
    ///
    /// D is drawn first; every row of W is then the least-norm solution of `D[c] · w = kernel[o, j]`. The layer's name
    /// takes part in the seed, so that layers differ and do not depend on each other's order.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if `d_mul` is below the number of taps, or the drawn D cannot be inverted;
    /// [`Error::Network`] if W or D would be too large.
    pub fn expand(&self, layer: &str, conv: &Conv2d, kernel: &Tensor) -> Result<Expanded> {
        let taps = conv.taps();
        let marked = conv.doconv.unwrap_or(DoConv { d_mul: taps, pairing: Pairing::Paper });
        let s = self.d_mul.unwrap_or(marked.d_mul);
        let attributes = DoConv { d_mul: s, ..marked };
        if s < taps {
            return Err(Error::Unsupported(format!(
                "{layer}: d_mul {s} is below the {taps} taps of the kernel, so the layer could not keep its function; \
                 use {taps} or more"
            )));
        }
        if !(self.jitter.is_finite() && self.jitter >= 0.0) {
            return Err(Error::Unsupported(format!("jitter {} is not a finite number ≥ 0", self.jitter)));
        }
        let expanded = Conv2d { doconv: Some(attributes), ..conv.clone() };
        expanded.check().map_err(|reason| Error::node(layer, reason))?;
        let scale = self.jitter / (taps as f64).sqrt();
        let mut random = Random::new(self.seed, layer);
        let residual: Vec<f32> = (0..conv.in_channels * taps * s).map(|_| (random.normal() * scale) as f32).collect();
        let mut effective = residual.clone();
        add_identity(taps, s, &mut effective);

        let mut w = vec![0.0f32; conv.out_channels * conv.channels_per_group() * s];
        let solvers = effective
            .chunks_exact(taps * s)
            .map(|d| LeastNorm::new(d, taps, s))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::Unsupported(format!("{layer}: jitter {} gives a singular D", self.jitter)))?;
        let cpg = conv.channels_per_group();
        for (index, (w, kernel)) in w.chunks_exact_mut(s).zip(kernel.data().chunks_exact(taps)).enumerate() {
            solvers[conv.d_channel(attributes.pairing, index / cpg, index % cpg)].solve(kernel, w);
        }
        Ok(Expanded {
            w: Tensor::new([conv.out_channels, cpg, s], w)?,
            d_residual: Tensor::new([conv.in_channels, taps, s], residual)?,
            attributes,
        })
    }
}

/// `x = Dᵀ (D Dᵀ)⁻¹ y`, the shortest solution of `D x = y`, for one fixed D of full row rank.
struct LeastNorm {
    /// `Dᵀ (D Dᵀ)⁻¹`, `[S, K]`.
    pseudo_inverse: Vec<f64>,
    taps: usize,
}

impl LeastNorm {
    /// `None` if D is singular to working precision.
    fn new(d: &[f32], taps: usize, s: usize) -> Option<Self> {
        let d = |m: usize, column: usize| f64::from(d[m * s + column]);
        let mut gram = vec![0.0; taps * taps];
        for row in 0..taps {
            for column in 0..taps {
                gram[row * taps + column] = (0..s).map(|k| d(row, k) * d(column, k)).sum();
            }
        }
        let inverse = invert(gram, taps)?;
        let mut pseudo_inverse = vec![0.0; s * taps];
        for column in 0..s {
            for m in 0..taps {
                pseudo_inverse[column * taps + m] = (0..taps).map(|row| d(row, column) * inverse[row * taps + m]).sum();
            }
        }
        Some(Self { pseudo_inverse, taps })
    }

    fn solve(&self, y: &[f32], x: &mut [f32]) {
        for (x, row) in x.iter_mut().zip(self.pseudo_inverse.chunks_exact(self.taps)) {
            *x = row.iter().zip(y).map(|(&a, &y)| a * f64::from(y)).sum::<f64>() as f32;
        }
    }
}

/// Gauss-Jordan elimination with partial pivoting; `None` if a pivot vanishes.
fn invert(mut a: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let mut inverse = vec![0.0; n * n];
    (0..n).for_each(|i| inverse[i * n + i] = 1.0);
    for column in 0..n {
        let pivot = (column..n).max_by(|&x, &y| a[x * n + column].abs().total_cmp(&a[y * n + column].abs()))?;
        if a[pivot * n + column].abs() < 1e-10 {
            return None;
        }
        for k in 0..n {
            a.swap(pivot * n + k, column * n + k);
            inverse.swap(pivot * n + k, column * n + k);
        }
        let scale = 1.0 / a[column * n + column];
        for k in 0..n {
            a[column * n + k] *= scale;
            inverse[column * n + k] *= scale;
        }
        for row in (0..n).filter(|&row| row != column) {
            let factor = a[row * n + column];
            for k in 0..n {
                a[row * n + k] -= factor * a[column * n + k];
                inverse[row * n + k] -= factor * inverse[column * n + k];
            }
        }
    }
    Some(inverse)
}

/// Normally distributed numbers that are the same on every platform.
struct Random(oorandom::Rand64);

impl Random {
    fn new(seed: u64, layer: &str) -> Self {
        // FNV-1a: any fixed hash that spreads names will do, and the standard one promises no stability.
        let hash = layer
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(oorandom::Rand64::new(u128::from(seed) << 64 | u128::from(hash)))
    }

    /// Box-Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.rand_float()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.rand_float()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Composed, fold};
    use super::*;

    fn round_trip(conv: &Conv2d, expansion: Expansion) -> f32 {
        let count: usize = conv.kernel_shape().iter().product();
        let kernel =
            Tensor::new(conv.kernel_shape(), (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect())
                .unwrap();
        let expanded = expansion.expand("layer", conv, &kernel).unwrap();
        let mut d = expanded.d_residual;
        add_identity(conv.taps(), expanded.attributes.d_mul, d.data_mut());
        let folded = fold(conv, &Composed { w: expanded.w, d, attributes: expanded.attributes }).unwrap();
        folded.data().iter().zip(kernel.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn folding_undoes_expanding() {
        let dense = Conv2d::new(3, 5, [3, 3]);
        let depthwise = Conv2d { groups: 4, ..Conv2d::new(4, 4, [5, 5]) };
        let grouped = Conv2d { groups: 2, ..Conv2d::new(4, 6, [1, 3]) };
        for conv in [dense, depthwise, grouped] {
            for d_mul in [None, Some(conv.taps() + 2)] {
                assert!(round_trip(&conv, Expansion { d_mul, jitter: 0.0, seed: 1 }) < 1e-6);
                assert!(round_trip(&conv, Expansion { d_mul, jitter: 0.3, seed: 1 }) < 2e-5);
            }
        }
    }

    #[test]
    fn a_small_d_mul_is_refused() {
        let conv = Conv2d::new(1, 1, [3, 3]);
        let error = Expansion { d_mul: Some(4), jitter: 0.0, seed: 0 }
            .expand("stem", &conv, &Tensor::zeros([1, 1, 3, 3]))
            .unwrap_err();
        assert!(error.to_string().starts_with("stem: d_mul 4 is below the 9 taps"));
    }
}
