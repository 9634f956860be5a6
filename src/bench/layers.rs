//! Layers of well-known networks, with random weights.

use super::check::REFERENCE_MACS;
use crate::network::{Activation, Conv2d, FORMAT_VERSION, Input, Network, Node, Op};
use crate::{Model, Result, Tensor, Weights};

/// The shape of a convolution with a square kernel and half of it as padding, on a square map.
#[derive(Debug)]
pub(super) struct Layer {
    /// Kernel, stride, channels in and out, and behind the `@` the side of the input.
    pub name: &'static str,
    in_channels: usize,
    pub out_channels: usize,
    kernel: usize,
    stride: usize,
    side: usize,
    groups: usize,
}

const fn dense(name: &'static str, channels: [usize; 2], kernel: usize, stride: usize, side: usize) -> Layer {
    let [in_channels, out_channels] = channels;
    Layer { name, in_channels, out_channels, kernel, stride, side, groups: 1 }
}

const fn depthwise(name: &'static str, channels: usize, stride: usize, side: usize) -> Layer {
    Layer { name, in_channels: channels, out_channels: channels, kernel: 3, stride, side, groups: channels }
}

/// ResNet's first layer, the 3×3 layers of ResNet-18, the 1×1 layers of ResNet-50, and MobileNet v2's narrow and
/// depthwise ones, all for images of 224×224.
pub(super) const LAYERS: [Layer; 13] = [
    dense("stem7x7s2-3-64@224", [3, 64], 7, 2, 224),
    dense("3x3-64-64@56", [64, 64], 3, 1, 56),
    dense("3x3s2-64-128@56", [64, 128], 3, 2, 56),
    dense("3x3-128-128@28", [128, 128], 3, 1, 28),
    dense("3x3-256-256@14", [256, 256], 3, 1, 14),
    dense("3x3-512-512@7", [512, 512], 3, 1, 7),
    dense("1x1-64-256@56", [64, 256], 1, 1, 56),
    dense("1x1-1024-256@14", [1024, 256], 1, 1, 14),
    dense("1x1s2-1024-2048@14", [1024, 2048], 1, 2, 14),
    dense("1x1-384-64@14", [384, 64], 1, 1, 14),
    depthwise("dw3x3s2-96@112", 96, 2, 112),
    depthwise("dw3x3-144@56", 144, 1, 56),
    depthwise("dw3x3-384@14", 384, 1, 14),
];

/// Those that are DO-Conv layers in networks that have any: with kernels of more than one tap.
pub(super) fn composable() -> impl Iterator<Item = &'static Layer> {
    const NAMES: [&str; 4] = ["3x3-64-64@56", "3x3-128-128@28", "3x3-256-256@14", "dw3x3-144@56"];
    LAYERS.iter().filter(|layer| NAMES.contains(&layer.name))
}

impl Layer {
    pub fn conv(&self) -> Conv2d {
        Conv2d {
            stride: [self.stride; 2],
            padding: [self.kernel / 2; 4],
            groups: self.groups,
            bias: true,
            ..Conv2d::new(self.in_channels, self.out_channels, [self.kernel; 2])
        }
    }

    pub fn network(&self, conv: Conv2d) -> Network {
        let node = |name: &str, input: &str, op| Node { name: name.into(), inputs: vec![input.into()], op };
        let relu = Op::Activation(Activation::Relu);
        Network {
            version: FORMAT_VERSION,
            name: self.name.into(),
            inputs: vec![Input::new("input", [self.in_channels, self.side, self.side])],
            nodes: vec![node("conv", "input", Op::Conv2d(conv)), node("relu", "conv", relu)],
            outputs: vec!["relu".into()],
            preprocess: None,
            labels: vec![],
        }
    }

    pub fn model(&self) -> Result<Model> {
        let conv = self.conv();
        // With this bound, inputs of variance one give outputs of variance one before the bias.
        let bound = (3.0 / (conv.channels_per_group() * conv.taps()) as f64).sqrt();
        let mut random = oorandom::Rand64::new(1);
        let weights = Weights::from([
            ("conv.weight".into(), uniform(&mut random, conv.kernel_shape().to_vec(), bound)?),
            ("conv.bias".into(), uniform(&mut random, vec![self.out_channels], 1.0)?),
        ]);
        Model::new(self.network(conv), weights)
    }

    /// The same function as W and D, with as many columns as the kernel has taps.
    pub fn composed(&self) -> Result<Model> {
        /// Far enough from the identity that composing does real work, near enough that it is well conditioned.
        const JITTER: f64 = 0.1;
        self.model()?.expand(None, JITTER, 1)
    }

    /// One in how many output channels the reference has the time for. An odd number, so that these are not all of the same
    /// place in the vectors of four that shaders work with.
    pub fn checked_channels(&self, macs: u64) -> usize {
        let depthwise = self.groups > 1;
        if depthwise { 1 } else { macs.div_ceil(REFERENCE_MACS) as usize | 1 }
    }

    /// The same layer, composed or not, with only every so many-th output channel.
    pub fn narrowed(&self, model: &Model, every: usize) -> Result<Model> {
        let pick = |(name, tensor): (&String, &Tensor)| {
            // D belongs to input channels.
            if every == 1 || name.ends_with(".D") {
                return Ok((name.clone(), tensor.clone()));
            }
            let rows = tensor.data().chunks(tensor.data().len() / self.out_channels).step_by(every);
            let shape = [&[rows.len()], &tensor.shape()[1..]].concat();
            Ok((name.clone(), Tensor::new(shape, rows.flatten().copied().collect())?))
        };
        let weights = model.weights().iter().map(pick).collect::<Result<Weights>>()?;
        let mut network = model.network().clone();
        if let Op::Conv2d(conv) = &mut network.nodes[0].op {
            conv.out_channels = self.out_channels.div_ceil(every);
        }
        Model::new(network, weights)
    }
}

/// Uniformly distributed within ± a bound.
pub(super) fn uniform(random: &mut oorandom::Rand64, shape: Vec<usize>, bound: f64) -> Result<Tensor> {
    let count = shape.iter().product();
    Tensor::new(shape, (0..count).map(|_| (bound * (2.0 * random.rand_float() - 1.0)) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_what_their_names_say() {
        for layer in &LAYERS {
            let stride = if layer.stride == 1 { String::new() } else { format!("s{}", layer.stride) };
            let (kernel, depthwise) = (layer.kernel, layer.groups > 1);
            let channels = if depthwise {
                layer.in_channels.to_string()
            } else {
                format!("{}-{}", layer.in_channels, layer.out_channels)
            };
            let kind = if depthwise { "dw" } else { "" };
            let name = format!("{kind}{kernel}x{kernel}{stride}-{channels}@{}", layer.side);
            assert_eq!(layer.name.trim_start_matches("stem"), name);
        }
    }

    #[test]
    fn composed_layers_have_as_many_columns_as_taps() {
        assert_eq!(composable().count(), 4);
        for layer in composable() {
            let model = layer.composed().unwrap();
            assert_eq!(model.weights()["conv.W"].shape(), [layer.out_channels, layer.conv().channels_per_group(), 9]);
            assert_eq!(model.weights()["conv.D"].shape(), [layer.in_channels, 9, 9]);
            if layer.groups > 1 {
                continue;
            }
            let narrowed = layer.narrowed(&model, 5).unwrap();
            assert_eq!(narrowed.weights()["conv.D"], model.weights()["conv.D"]);
            assert_eq!(narrowed.weights()["conv.bias"].data()[1], model.weights()["conv.bias"].data()[5]);
        }
    }
}
