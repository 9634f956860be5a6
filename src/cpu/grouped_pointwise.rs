//! Grouped 1×1 convolutions with one output per group: the second half of a depthwise layer in feature composition.
//!
//! Each output is the scalar product of neighbouring channels of one pixel. A vector of outputs would have to gather
//! its inputs, and reading them takes longer than multiplying: so this is plain scalar code.

use super::activation::{self, Finish};
use super::geometry::Geometry;
use super::parallel;
use crate::network::Conv2d;

/// Elements that a task reads.
const CHUNK: usize = 32 * 1024;

/// The kernel as it comes, and the bias.
pub(super) struct GroupedPointwise {
    channels_per_group: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl GroupedPointwise {
    /// Whether this module can compute a convolution.
    pub(super) fn suits(conv: &Conv2d) -> bool {
        let in_place = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.padding == [0; 4];
        in_place && conv.groups > 1 && conv.outputs_per_group() == 1
    }

    pub(super) fn new(conv: &Conv2d, bias: &[f32]) -> Self {
        Self {
            channels_per_group: conv.channels_per_group(),
            weights: vec![0.0; conv.in_channels],
            bias: bias.to_vec(),
        }
    }

    /// Takes over the values of an OIHW kernel.
    pub(super) fn fill(&mut self, kernel: &[f32]) {
        self.weights.copy_from_slice(kernel);
    }

    #[cfg(training)]
    pub(super) fn set_bias(&mut self, bias: &[f32]) {
        self.bias.copy_from_slice(bias);
    }

    /// They lie as they came.
    #[cfg(training)]
    pub(super) fn values(&self) -> &[f32] {
        &self.weights
    }

    pub(super) fn run(
        &self,
        geometry: &Geometry,
        input: &[f32],
        residual: Option<&[f32]>,
        finish: Finish,
        output: &mut [f32],
    ) {
        debug_assert!(geometry.is_identity());
        let outputs = self.bias.len();
        let pixels = (CHUNK / self.weights.len()).max(1);
        parallel::for_each_chunk(output, pixels * outputs, |index, output| {
            let input = input[index * pixels * self.weights.len()..].chunks_exact(self.weights.len());
            for (input, output) in input.zip(output.chunks_exact_mut(outputs)) {
                let groups = input.chunks_exact(self.channels_per_group);
                let groups = groups.zip(self.weights.chunks_exact(self.channels_per_group)).zip(&self.bias);
                for (output, ((input, weights), bias)) in output.iter_mut().zip(groups) {
                    *output = input.iter().zip(weights).fold(*bias, |sum, (x, w)| sum + x * w);
                }
            }
            if let Some(residual) = residual {
                let residual = &residual[index * pixels * outputs..];
                output.iter_mut().zip(residual).for_each(|(output, residual)| *output += residual);
            }
            match finish {
                Finish::Keep => {}
                Finish::Clamp(low, high) => output.iter_mut().for_each(|value| *value = value.clamp(low, high)),
                Finish::Then(activation) => activation::apply(activation, output),
            }
        });
    }
}
