//! Expanding, the inverse of folding: W and D for an ordinary kernel, with the function preserved.

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

/// The shortest solution `x` of `D x = y`, for one fixed D of full row rank: `D⁻¹ y` where D is square, otherwise
/// `Dᵀ (D Dᵀ)⁻¹ y`.
struct LeastNorm<'a> {
    /// D, or D Dᵀ.
    factored: Lu,
    /// D, where it is not square.
    wide: Option<&'a [f32]>,
}

impl<'a> LeastNorm<'a> {
    /// `None` if D is singular to working precision.
    fn new(d: &'a [f32], taps: usize, s: usize) -> Option<Self> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        let (matrix, wide) = if s == taps {
            (d.iter().copied().map(f64::from).collect(), None)
        } else {
            let rows = || d.chunks_exact(s);
            (rows().flat_map(|row| rows().map(move |column| dot(row, column))).collect(), Some(d))
        };
        Some(Self { factored: Lu::new(matrix, taps)?, wide })
    }

    fn solve(&self, y: &[f32], x: &mut [f32]) {
        let solution = self.factored.solve(y);
        match self.wide {
            None => x.iter_mut().zip(&solution).for_each(|(x, &value)| *x = value as f32),
            Some(d) => {
                let s = x.len();
                for (column, x) in x.iter_mut().enumerate() {
                    let rows = d.iter().skip(column).step_by(s);
                    *x = rows.zip(&solution).map(|(&d, &value)| f64::from(d) * value).sum::<f64>() as f32;
                }
            }
        }
    }
}

/// A square matrix as `L U` with its rows in another order (Golub and Van Loan, *Matrix Computations*, 3.4).
struct Lu {
    /// U, and below its diagonal L without its diagonal of ones.
    factors: Vec<f64>,
    /// Which row of the matrix each row is.
    rows: Vec<usize>,
}

impl Lu {
    /// `None` if a pivot vanishes.
    fn new(mut a: Vec<f64>, n: usize) -> Option<Self> {
        let mut rows: Vec<usize> = (0..n).collect();
        for column in 0..n {
            let pivot = (column..n).max_by(|&x, &y| a[x * n + column].abs().total_cmp(&a[y * n + column].abs()))?;
            if a[pivot * n + column].abs() < 1e-10 {
                return None;
            }
            rows.swap(pivot, column);
            for k in 0..n {
                a.swap(pivot * n + k, column * n + k);
            }
            let (above, below) = a.split_at_mut((column + 1) * n);
            let above = &above[column * n + column..];
            for row in below.chunks_exact_mut(n) {
                let row = &mut row[column..];
                let factor = row[0] / above[0];
                row[0] = factor;
                row[1..].iter_mut().zip(&above[1..]).for_each(|(value, &above)| *value -= factor * above);
            }
        }
        Some(Self { factors: a, rows })
    }

    fn solve(&self, y: &[f32]) -> Vec<f64> {
        let n = self.rows.len();
        let mut x: Vec<f64> = self.rows.iter().map(|&row| f64::from(y[row])).collect();
        let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        for (at, row) in self.factors.chunks_exact(n).enumerate() {
            x[at] -= dot(&row[..at], &x[..at]);
        }
        for (at, row) in self.factors.chunks_exact(n).enumerate().rev() {
            x[at] = (x[at] - dot(&row[at + 1..], &x[at + 1..])) / row[at];
        }
        x
    }
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
