//! Weights in the order in which the matrix kernel reads them.

use std::sync::atomic::{AtomicBool, Ordering};

use rten_simd::SimdOp;

use super::aligned::Aligned;
use super::compose;
use super::parallel::{self, SharedMut};
use crate::doconv::Composed;
use crate::network::Conv2d;

/// A kernel cut into panels of one or two vectors of output channels.
///
/// A panel holds, for every tap and every input channel of its group, the weights of its output channels side by side,
/// with zeros for those it lacks.
pub(super) struct Packed {
    weights: Aligned,
    bias: Aligned,
    panels: Vec<Panel>,
    lanes: usize,
}

/// Some output channels of one group.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    /// First output channel.
    pub(super) output: usize,
    /// Output channels: at most `vectors · lanes`.
    pub(super) outputs: usize,
    /// 1 or 2.
    pub(super) vectors: usize,
    /// First input channel of the group.
    pub(super) input: usize,
    weights: usize,
    bias: usize,
}

impl Packed {
    pub(super) fn new(conv: &Conv2d, lanes: usize, bias: &[f32]) -> Self {
        let (per_group, depth) = (conv.outputs_per_group(), conv.channels_per_group() * conv.taps());
        let mut packed = Self { weights: Aligned::default(), bias: Aligned::default(), panels: vec![], lanes };
        let (mut weights_len, mut bias_len) = (0, 0);
        for group in 0..conv.groups {
            let mut done = 0;
            while done < per_group {
                let vectors = if per_group - done > lanes { 2 } else { 1 };
                let outputs = (vectors * lanes).min(per_group - done);
                let (output, input) = (group * per_group + done, group * conv.channels_per_group());
                packed.panels.push(Panel { output, outputs, vectors, input, weights: weights_len, bias: bias_len });
                weights_len += depth * vectors * lanes;
                bias_len += vectors * lanes;
                done += outputs;
            }
        }
        packed.weights = Aligned::zeros(weights_len);
        packed.bias = Aligned::zeros(bias_len);
        packed.set_bias(bias);
        packed
    }

    pub(super) fn set_bias(&mut self, bias: &[f32]) {
        for panel in &self.panels {
            self.bias[panel.bias..][..panel.outputs].copy_from_slice(&bias[panel.output..][..panel.outputs]);
        }
    }

    /// Takes over the values of an OIHW kernel.
    pub(super) fn fill(&mut self, conv: &Conv2d, kernel: &[f32]) {
        let (taps, channels) = (conv.taps(), conv.channels_per_group());
        for panel in &self.panels {
            let width = panel.vectors * self.lanes;
            let weights = &mut self.weights[panel.weights..][..taps * channels * width];
            let kernel = &kernel[panel.output * channels * taps..][..panel.outputs * channels * taps];
            for (lane, kernel) in kernel.chunks_exact(channels * taps).enumerate() {
                for (channel, kernel) in kernel.chunks_exact(taps).enumerate() {
                    for (tap, &value) in kernel.iter().enumerate() {
                        weights[(tap * channels + channel) * width + lane] = value;
                    }
                }
            }
        }
    }

    /// Takes over what W and D give, where all outputs of a group share every D, and says whether that is finite.
    pub(super) fn compose(&mut self, conv: &Conv2d, composed: &Composed) -> bool {
        let (taps, channels, s) = (conv.taps(), conv.channels_per_group(), composed.attributes.d_mul);
        let (lanes, panels) = (self.lanes, &self.panels);
        let weights = SharedMut::new(&mut self.weights);
        let finite = AtomicBool::new(true);
        let tasks = parallel::tasks().min(panels.len());
        parallel::for_each(tasks, |task| {
            for panel in &panels[parallel::part(panels.len(), task, tasks)] {
                let width = panel.vectors * lanes;
                let len = taps * channels * width;
                let composing = compose::Panel {
                    d: &composed.d.data()[panel.input * taps * s..][..channels * taps * s],
                    w: &composed.w.data()[panel.output * channels * s..][..panel.outputs * channels * s],
                    channels,
                    s,
                    width,
                    // SAFETY: every panel has its own place, and is one task's.
                    weights: unsafe { std::slice::from_raw_parts_mut(weights.at(panel.weights, len), len) },
                };
                if !composing.dispatch() {
                    finite.store(false, Ordering::Relaxed);
                }
            }
        });
        finite.into_inner()
    }

    /// The OIHW kernel again.
    #[cfg(training)]
    pub(super) fn values(&self, conv: &Conv2d) -> Vec<f32> {
        let (taps, channels) = (conv.taps(), conv.channels_per_group());
        let mut kernel = vec![0.0; conv.out_channels * channels * taps];
        for panel in &self.panels {
            let (weights, width) = (self.weights(panel), panel.vectors * self.lanes);
            let kernel = &mut kernel[panel.output * channels * taps..][..panel.outputs * channels * taps];
            for (at, value) in kernel.iter_mut().enumerate() {
                let (lane, channel, tap) = (at / (channels * taps), at / taps % channels, at % taps);
                *value = weights[(tap * channels + channel) * width + lane];
            }
        }
        kernel
    }

    /// Lanes of a vector.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    pub(super) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// The weights of a panel and of those after it.
    pub(super) fn weights(&self, panel: &Panel) -> &[f32] {
        &self.weights[panel.weights..]
    }

    pub(super) fn bias(&self, panel: &Panel) -> &[f32] {
        &self.bias[panel.bias..]
    }
}
