//! Multiply-accumulates and parameters, as the paper counts them.

use super::{Conv2d, Network, Node, Op, Shape};
use crate::Result;

/// What one layer costs for one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// The node's name.
    pub name: String,
    /// Shape of its value for a batch of one.
    pub output: Shape,
    /// Parameters as an ordinary network.
    pub parameters: u64,
    /// Parameters with W and D apart (the residual D; the constant identity is not counted).
    pub parameters_composed: u64,
    /// Multiply-accumulates of the folded layer.
    pub macs_folded: u64,
    /// The same when the kernel is composed for every run: `in·out·K·S/groups` more.
    pub macs_kernel: u64,
    /// The same when D and W are applied to features one after the other: `in·S·(K + out/groups)` per position.
    pub macs_feature: u64,
}

/// What a whole network costs for one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkCost {
    /// Every node with parameters, in the network's order.
    pub layers: Vec<LayerCost>,
}

impl NetworkCost {
    /// The sum of one figure over the layers.
    pub fn total(&self, figure: impl Fn(&LayerCost) -> u64) -> u64 {
        self.layers.iter().map(figure).fold(0, u64::saturating_add)
    }
}

impl Network {
    /// Counts parameters and multiply-accumulates of every layer that has parameters.
    ///
    /// # Errors
    /// Those of [`Network::infer`].
    pub fn cost(&self) -> Result<NetworkCost> {
        let inferred = self.infer(1)?;
        let layer = |(index, node): (usize, &Node)| {
            let input = inferred.edges[index].first().map_or([0; 4], |&source| inferred.shape(source));
            node.cost(input, inferred.nodes[index])
        };
        Ok(NetworkCost { layers: self.nodes.iter().enumerate().filter_map(layer).collect() })
    }
}

impl Node {
    fn cost(&self, input: Shape, output: Shape) -> Option<LayerCost> {
        let layer = |parameters: u64, macs: u64| LayerCost {
            name: self.name.clone(),
            output,
            parameters,
            parameters_composed: parameters,
            macs_folded: macs,
            macs_kernel: macs,
            macs_feature: macs,
        };
        match &self.op {
            Op::Conv2d(conv) => Some(conv.cost(layer(0, 0))),
            Op::ConvTranspose2d(conv) => {
                let factors = conv.kernel_shape().map(|extent| extent as u64);
                let weights = factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor));
                let bias = if conv.bias { conv.out_channels as u64 } else { 0 };
                let pixels = (input[0] * input[2] * input[3]) as u64;
                Some(layer(weights.saturating_add(bias), weights.saturating_mul(pixels)))
            }
            Op::Constant(shape) => Some(layer(shape.iter().product::<usize>() as u64, 0)),
            Op::Linear(linear) => {
                let weights = (linear.in_features as u64).saturating_mul(linear.out_features as u64);
                let bias = if linear.bias { linear.out_features as u64 } else { 0 };
                Some(layer(weights.saturating_add(bias), weights))
            }
            Op::BatchNorm(norm) => Some(layer(2 * norm.channels as u64, 0)),
            _ => None,
        }
    }
}

impl Conv2d {
    fn cost(&self, empty: LayerCost) -> LayerCost {
        let [items, outputs, height, width] = empty.output.map(|extent| extent as u64);
        let height = items.saturating_mul(height);
        // Sizes that no machine could run may still be described; their cost need not be exact.
        let product = |factors: &[u64]| factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor));
        let (inputs, cpg, taps) = (self.in_channels as u64, self.channels_per_group() as u64, self.taps() as u64);
        let bias = if self.bias { outputs } else { 0 };
        let plain = product(&[outputs, cpg, taps]);
        let folded = product(&[height, width, plain]);
        let mut cost = LayerCost {
            parameters: plain.saturating_add(bias),
            parameters_composed: plain.saturating_add(bias),
            macs_folded: folded,
            macs_kernel: folded,
            macs_feature: folded,
            ..empty
        };
        if let Some(doconv) = self.doconv.filter(|_| taps > 1) {
            let s = doconv.d_mul as u64;
            let (w, d) = (product(&[outputs, cpg, s]), product(&[inputs, taps, s]));
            cost.parameters_composed = w.saturating_add(d).saturating_add(bias);
            cost.macs_kernel = folded.saturating_add(product(&[plain, s]));
            cost.macs_feature = product(&[height, width, w.saturating_add(d)]);
        }
        cost
    }
}
