//! The parameters a network has, by name and shape.

use std::collections::{HashMap, HashSet};

use super::{BatchNorm, Conv2d, Network, Op};
use crate::{Tensor, Weights};

impl Network {
    /// Name and shape of every parameter, as an ordinary network that holds no W and D, in the network's order.
    ///
    /// Layers are called as in PyTorch: convolutions and linear layers have a `weight` and may have a `bias`; batch norms
    /// have a `weight`, a `bias`, a `running_mean` and a `running_var`; constants have a `value`.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let of_node = |node: &super::Node| {
            let name = |part: &str| format!("{}.{part}", node.name);
            match &node.op {
                Op::Conv2d(conv) => {
                    let bias = conv.bias.then(|| (name("bias"), vec![conv.out_channels]));
                    [(name("weight"), conv.kernel_shape().to_vec())].into_iter().chain(bias).collect()
                }
                Op::ConvTranspose2d(conv) => {
                    let bias = conv.bias.then(|| (name("bias"), vec![conv.out_channels]));
                    [(name("weight"), conv.kernel_shape().to_vec())].into_iter().chain(bias).collect()
                }
                Op::Constant(shape) => vec![(name("value"), shape.to_vec())],
                Op::Linear(linear) => {
                    let bias = linear.bias.then(|| (name("bias"), vec![linear.out_features]));
                    let weight = (name("weight"), vec![linear.out_features, linear.in_features]);
                    [weight].into_iter().chain(bias).collect()
                }
                Op::BatchNorm(norm) => BatchNorm::PARAMETERS.map(|part| (name(part), vec![norm.channels])).into(),
                _ => vec![],
            }
        };
        self.nodes.iter().flat_map(of_node).collect()
    }

    /// Whether weights are those of this network, with any of its convolutions as W and D.
    pub(crate) fn fits(&self, weights: &Weights) -> bool {
        self.misfit(weights).is_none()
    }

    /// The first tensor that is missing, mis-shaped or surplus, and what is wrong with it.
    pub(crate) fn misfit(&self, weights: &Weights) -> Option<(String, String)> {
        let convolutions: HashMap<&str, &Conv2d> = self
            .nodes
            .iter()
            .filter_map(|node| match &node.op {
                Op::Conv2d(conv) => Some((node.name.as_str(), conv)),
                _ => None,
            })
            .collect();
        let mut used: HashSet<String> = HashSet::new();
        for (name, shape) in self.parameters() {
            let layer = name.strip_suffix(".weight").unwrap_or_default();
            let w = weights.get(&format!("{layer}.W")).map(Tensor::shape);
            let parts = match (convolutions.get(layer), w) {
                (Some(conv), Some(w)) => composed_parts(layer, conv, w),
                _ => vec![(name, shape, true)],
            };
            for (name, expected, must) in parts {
                match weights.get(&name).map(Tensor::shape) {
                    Some(shape) if shape == expected => drop(used.insert(name)),
                    Some(shape) => return Some((name, format!("expected shape {expected:?}, the file has {shape:?}"))),
                    None if must => return Some((name, "missing".into())),
                    None => {}
                }
            }
        }
        let surplus = weights.keys().find(|name| !used.contains(*name))?;
        Some((surplus.clone(), "surplus: no layer of the network uses it".into()))
    }
}

/// What a DO-Conv layer holds, given the shape of its W: name, shape, and whether it must be there.
fn composed_parts(layer: &str, conv: &Conv2d, w: &[usize]) -> Vec<(String, Vec<usize>, bool)> {
    let s = if conv.taps() == 1 { 1 } else { w.last().copied().unwrap_or(0) };
    let w = (format!("{layer}.W"), vec![conv.out_channels, conv.channels_per_group(), s], true);
    if conv.taps() == 1 {
        return vec![w];
    }
    let d = |part: &str, must: bool| (format!("{layer}.{part}"), vec![conv.in_channels, conv.taps(), s], must);
    vec![w, d("D", true), d("d_diag", false), d("D_diag", false)]
}
