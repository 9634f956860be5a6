//! The backward pass of folding.

use super::Composed;
use crate::network::Conv2d;

/// The gradient of W, `[out, cpg, S]`, from that of the kernel that it composes to, OIHW:
/// `dW[o, j, s] = Σ_m D[c, m, s] · dkernel[o, j, m]`, accumulated in f64. This is the twin of
/// `shaders/compose_gradient.wgsl`.
pub(crate) fn w_gradient(conv: &Conv2d, composed: &Composed, grad_kernel: &[f32]) -> Vec<f32> {
    let (taps, cpg, s) = (conv.taps(), conv.channels_per_group(), composed.attributes.d_mul);
    let mut gradient = Vec::with_capacity(conv.out_channels * cpg * s);
    let mut sums = vec![0.0f64; s];
    for (index, dkernel) in grad_kernel.chunks_exact(taps).enumerate() {
        let channel = conv.d_channel(composed.attributes.pairing, index / cpg, index % cpg);
        let d = &composed.d.data()[channel * taps * s..][..taps * s];
        sums.fill(0.0);
        for (row, &dkernel) in d.chunks_exact(s).zip(dkernel) {
            sums.iter_mut().zip(row).for_each(|(sum, &d)| *sum += f64::from(d) * f64::from(dkernel));
        }
        gradient.extend(sums.iter().map(|&sum| sum as f32));
    }
    gradient
}

/// The gradient of the effective D, `[in, K, S]`: `dD[c, m, s] = Σ dkernel[o, j, m] · W[o, j, s]` over all outputs that
/// meet D of the channel, accumulated in f64.
pub(crate) fn d_gradient(conv: &Conv2d, composed: &Composed, grad_kernel: &[f32]) -> Vec<f32> {
    let (taps, cpg, s) = (conv.taps(), conv.channels_per_group(), composed.attributes.d_mul);
    let mut gradient = vec![0.0f64; conv.in_channels * taps * s];
    let slices = grad_kernel.chunks_exact(taps).zip(composed.w.data().chunks_exact(s));
    for (index, (dkernel, w)) in slices.enumerate() {
        let channel = conv.d_channel(composed.attributes.pairing, index / cpg, index % cpg);
        let sums = &mut gradient[channel * taps * s..][..taps * s];
        for (sums, &dkernel) in sums.chunks_exact_mut(s).zip(dkernel) {
            sums.iter_mut().zip(w).for_each(|(sum, &w)| *sum += f64::from(dkernel) * f64::from(w));
        }
    }
    gradient.into_iter().map(|sum| sum as f32).collect()
}
