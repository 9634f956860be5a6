//! The parameters a network has, by name and shape.

use super::{Conv2d, Network, Op};
use crate::Weights;

impl Network {
    /// Name and shape of every parameter, as an ordinary network that holds no W and D, in the network's order.
    ///
    /// Layers are called as in PyTorch: convolutions and linear layers have a `weight` and may have a `bias`; batch norms
    /// have a `weight`, a `bias`, a `running_mean` and a `running_var`.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let of_node = |node: &super::Node| {
            let name = |part: &str| format!("{}.{part}", node.name);
            match &node.op {
                Op::Conv2d(conv) => {
                    let bias = conv.bias.then(|| (name("bias"), vec![conv.out_channels]));
                    [(name("weight"), conv.kernel_shape().to_vec())].into_iter().chain(bias).collect()
                }
                Op::Linear(linear) => {
                    let bias = linear.bias.then(|| (name("bias"), vec![linear.out_features]));
                    let weight = (name("weight"), vec![linear.out_features, linear.in_features]);
                    [weight].into_iter().chain(bias).collect()
                }
                Op::BatchNorm(norm) => {
                    crate::model::BATCH_NORM_PARTS.map(|part| (name(part), vec![norm.channels])).into()
                }
                _ => vec![],
            }
        };
        self.nodes.iter().flat_map(of_node).collect()
    }

    /// Whether weights are those of this network, with any of its convolutions as W and D.
    pub(crate) fn fits(&self, weights: &Weights) -> bool {
        let shape = |name: &str| weights.get(name).map(crate::Tensor::shape);
        let mut used = 0;
        let mut has = |name: String, expected: &[usize]| {
            let fits = shape(&name) == Some(expected);
            used += usize::from(fits);
            fits
        };
        let convolution = |layer: &str| {
            self.nodes.iter().find_map(|node| match &node.op {
                Op::Conv2d(conv) if node.name == layer => Some(conv),
                _ => None,
            })
        };
        let all = self.parameters().into_iter().all(|(name, expected)| {
            let layer = name.strip_suffix(".weight");
            let composed = layer.and_then(|layer| Some((layer, convolution(layer)?, shape(&format!("{layer}.W"))?)));
            match composed {
                Some((layer, conv, w)) => composed_parts(conv, w)
                    .into_iter()
                    .all(|(part, expected, must)| has(format!("{layer}.{part}"), &expected) || !must),
                None => has(name, &expected),
            }
        });
        all && used == weights.len()
    }
}

/// What a DO-Conv layer holds, given the shape of its W: part, shape, and whether it must be there.
fn composed_parts(conv: &Conv2d, w: &[usize]) -> Vec<(&'static str, Vec<usize>, bool)> {
    let s = w.last().copied().unwrap_or(0);
    let w = ("W", vec![conv.out_channels, conv.channels_per_group(), s], true);
    if conv.taps() == 1 {
        return vec![w];
    }
    let d = vec![conv.in_channels, conv.taps(), s];
    vec![w, ("D", d.clone(), true), ("d_diag", d.clone(), false), ("D_diag", d, false)]
}
