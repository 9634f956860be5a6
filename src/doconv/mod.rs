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
mod gradient;

pub use expand::{Expanded, Expansion};
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
    let w_shape = [conv.out_channels, cpg, s];
    let d_shape = [conv.in_channels, taps, s];
    if composed.w.shape() != w_shape || composed.d.shape() != d_shape {
        return Err(Error::Unsupported(format!(
            "W {:?} and D {:?} do not fit a layer that needs W {w_shape:?} and D {d_shape:?}",
            composed.w.shape(),
            composed.d.shape()
        )));
    }
    let mut kernel = Vec::with_capacity(conv.out_channels * cpg * taps);
    for (index, w) in composed.w.data().chunks_exact(s).enumerate() {
        let channel = conv.d_channel(composed.attributes.pairing, index / cpg, index % cpg);
        let d = &composed.d.data()[channel * taps * s..][..taps * s];
        kernel.extend(compose(d, w));
    }
    if let Some(value) = kernel.iter().find(|value| !value.is_finite()) {
        return Err(Error::Unsupported(format!("folding W and D gives {value}")));
    }
    Tensor::new(conv.kernel_shape(), kernel)
}

/// One kernel: the matrix D `[K, S]` of an input channel times the vector `[S]` of W.
pub(crate) fn compose(d: &[f32], w: &[f32]) -> impl Iterator<Item = f32> {
    d.chunks_exact(w.len()).map(|row| dot(row, w) as f32)
}

/// Whether feature composition can express the layer: every input channel meets one D only, its own.
pub fn has_feature_form(conv: &Conv2d, pairing: Pairing) -> bool {
    (0..conv.out_channels).all(|o| {
        (0..conv.channels_per_group()).all(|j| conv.d_channel(pairing, o, j) == conv.d_channel(Pairing::Paper, o, j))
    })
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
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
