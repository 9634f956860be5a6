//! The heart: composing, folding and expanding the kernels of a DO-Conv layer, on the CPU.
//!
//! With `in` input and `out` output channels, `cpg = in / groups`, K taps and depth multiplier S, a layer has
//! `W [out, cpg, S]` and one matrix per input channel in `D [in, K, S]`. Its ordinary kernel is
//!
//! `kernel[o, j, m] = Σ_s D[c, m, s] · W[o, j, s]`,  with `c` the input channel that [`Pairing`] gives.
//!
//! The D used here is the *effective* one: the trainable residual plus the identity tiled along S.
//!
//! Source: Cao et al., *DO-Conv: Depthwise Over-Parameterized Convolutional Layer*, 2020, section 3.

mod expand;
#[cfg(training)]
mod gradient;

pub use expand::{Expanded, Expansion};
#[cfg(training)]
pub(crate) use gradient::{d_gradient, w_gradient};

use crate::network::{Conv2d, DoConv, Pairing};
use crate::{Error, Result, Tensor};

/// The two kernels of a DO-Conv layer.
#[derive(Clone, Debug)]
pub struct Composed {
    /// `[out, cpg, S]`.
    pub w: Tensor,
    /// The effective D, `[in, K, S]`.
    pub d: Tensor,
    /// Depth multiplier and pairing.
    pub attributes: DoConv,
}

impl Composed {
    /// The shapes that W and D of a layer need.
    pub(crate) fn shapes(&self, conv: &Conv2d) -> [[usize; 3]; 2] {
        let s = self.attributes.d_mul;
        [[conv.out_channels, conv.channels_per_group(), s], [conv.in_channels, conv.taps(), s]]
    }

    /// Whether W and D have those.
    pub(crate) fn fits(&self, conv: &Conv2d) -> bool {
        let [w, d] = self.shapes(conv);
        self.w.shape() == w && self.d.shape() == d
    }
}

/// Adds the K×K identity, tiled along S, to the D of every channel; columns left over stay as they are.
pub fn add_identity(taps: usize, s: usize, d: &mut [f32]) {
    for channel in d.chunks_exact_mut(taps * s) {
        for (m, row) in channel.chunks_exact_mut(s).enumerate() {
            for tile in 0..s / taps {
                row[tile * taps + m] += 1.0;
            }
        }
    }
}

/// Folds W and D into the layer's ordinary kernel, OIHW, accumulating in f64.
///
/// This is the twin of `shaders/compose.wgsl`.
///
/// ```
/// use doconv::{doconv::{Composed, fold}, network::{Conv2d, DoConv, Pairing}, Tensor};
///
/// let conv = Conv2d::new(1, 1, [1, 2]);
/// let composed = Composed {
///     w: Tensor::new([1, 1, 2], vec![3.0, 4.0])?,
///     d: Tensor::new([1, 2, 2], vec![1.0, 0.0, 10.0, 1.0])?,
///     attributes: DoConv { d_mul: 2, pairing: Pairing::Paper },
/// };
/// assert_eq!(fold(&conv, &composed)?.data(), [3.0, 34.0]);
/// # Ok::<(), doconv::Error>(())
/// ```
///
/// # Errors
/// [`Error::Unsupported`] if the shapes of W or D do not fit the convolution, or a folded value is not finite.
pub fn fold(conv: &Conv2d, composed: &Composed) -> Result<Tensor> {
    let (taps, cpg, s) = (conv.taps(), conv.channels_per_group(), composed.attributes.d_mul);
    if !composed.fits(conv) {
        let [w_shape, d_shape] = composed.shapes(conv);
        return Err(Error::Unsupported(format!(
            "W {:?} and D {:?} do not fit a layer that needs W {w_shape:?} and D {d_shape:?}",
            composed.w.shape(),
            composed.d.shape()
        )));
    }
    let mut kernel = vec![0.0; conv.out_channels * cpg * taps];
    for (index, (kernel, w)) in kernel.chunks_exact_mut(taps).zip(composed.w.data().chunks_exact(s)).enumerate() {
        let channel = conv.d_channel(composed.attributes.pairing, index / cpg, index % cpg);
        compose(&composed.d.data()[channel * taps * s..][..taps * s], w, kernel);
    }
    if let Some(value) = kernel.iter().find(|value| !value.is_finite()) {
        return Err(Error::Unsupported(format!("folding W and D gives {value}")));
    }
    Tensor::new(conv.kernel_shape(), kernel)
}

/// One kernel: the matrix D `[K, S]` of an input channel times the vector `[S]` of W.
pub(crate) fn compose(d: &[f32], w: &[f32], kernel: &mut [f32]) {
    // A sum waits for each of its additions, so several are formed at a time; 9 are a whole 3×3 kernel.
    let (mut d, mut kernel) = (d, kernel);
    while !kernel.is_empty() {
        let done = match kernel.len() {
            9.. => rows::<9>(d, w, kernel),
            3.. => rows::<3>(d, w, kernel),
            _ => rows::<1>(d, w, kernel),
        };
        (d, kernel) = (&d[done * w.len()..], &mut kernel[done..]);
    }
}

/// The first `N` rows of D times W; gives `N`.
fn rows<const N: usize>(d: &[f32], w: &[f32], kernel: &mut [f32]) -> usize {
    let rows: [&[f32]; N] = std::array::from_fn(|row| &d[row * w.len()..][..w.len()]);
    let mut sums = [0.0f64; N];
    for (column, &w) in w.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum += f64::from(row[column]) * f64::from(w);
        }
    }
    kernel.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum as f32);
    N
}

/// Whether feature composition can express the layer: every input channel meets one D only, its own.
pub fn has_feature_form(conv: &Conv2d, pairing: Pairing) -> bool {
    (0..conv.out_channels).all(|o| {
        (0..conv.channels_per_group()).all(|j| conv.d_channel(pairing, o, j) == conv.d_channel(Pairing::Paper, o, j))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_d_leaves_w_as_the_kernel() {
        let conv = Conv2d::new(2, 3, [3, 3]);
        let w = Tensor::new([3, 2, 9], (0..54).map(|i| i as f32).collect()).unwrap();
        let mut d = Tensor::zeros([2, 9, 9]);
        add_identity(9, 9, d.data_mut());
        let attributes = DoConv { d_mul: 9, pairing: Pairing::Paper };
        let kernel = fold(&conv, &Composed { w: w.clone(), d, attributes }).unwrap();
        assert_eq!(kernel.data(), w.data());
    }

    #[test]
    fn every_row_is_its_own_sum() {
        for (taps, s) in [(1, 2), (2, 5), (3, 3), (9, 9), (25, 27), (49, 1)] {
            let d: Vec<f32> = (0..taps * s).map(|at| (at * 37 % 101) as f32 / 7.0).collect();
            let w: Vec<f32> = (0..s).map(|at| (at * 11 % 13) as f32 - 6.5).collect();
            let mut kernel = vec![f32::NAN; taps];
            compose(&d, &w, &mut kernel);
            let dot = |row: &[f32]| row.iter().zip(&w).map(|(&d, &w)| f64::from(d) * f64::from(w)).sum::<f64>() as f32;
            assert_eq!(kernel, d.chunks_exact(s).map(dot).collect::<Vec<_>>(), "{taps}×{s}");
        }
    }

    #[test]
    fn identity_leaves_surplus_columns_zero() {
        let mut d = vec![0.0; 2 * 5];
        add_identity(2, 5, &mut d);
        assert_eq!(d, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn torch_pairing_has_a_feature_form_only_where_it_agrees_with_the_paper() {
        let grouped = Conv2d { groups: 2, ..Conv2d::new(4, 4, [3, 3]) };
        assert!(!has_feature_form(&grouped, Pairing::Torch));
        assert!(has_feature_form(&grouped, Pairing::Paper));
        let depthwise = Conv2d { groups: 4, ..Conv2d::new(4, 4, [3, 3]) };
        assert!(has_feature_form(&depthwise, Pairing::Torch));
    }
}
