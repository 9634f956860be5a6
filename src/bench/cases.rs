//! What is timed: suites and their cases.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::check::{Expected, REFERENCE_MACS};
use crate::network::{Activation, Conv2d, FORMAT_VERSION, Input, LayerCost, Network, Node, Op};
use crate::reference::run_with_error_of;
use crate::{Adapter, Mode, Model, Result, Tensor, Weights};

/// A group of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Single convolutions of well-known networks, with bias and ReLU and random weights.
    Layers,
    /// A whole network, in every mode.
    Networks,
}

impl Suite {
    /// Every suite there is.
    pub const ALL: [Suite; 2] = [Suite::Layers, Suite::Networks];

    /// The name that the command line and records use.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Layers => "layers",
            Suite::Networks => "networks",
        }
    }

    /// Its cases; those of networks need a model.
    pub(super) fn cases(self, model: Option<&Model>) -> Vec<Case<'_>> {
        let case = |name: &str, mode, subject| Case { suite: self, name: name.into(), mode, batch: 1, subject };
        match self {
            Suite::Layers => LAYERS.iter().map(|layer| case(layer.name, Mode::Folded, Subject::Layer(layer))).collect(),
            Suite::Networks => {
                let of = |model| Mode::ALL.map(|mode| case(&Model::network(model).name, mode, Subject::Network(model)));
                model.into_iter().flat_map(of).collect()
            }
        }
    }
}

/// One thing to time, in one way.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    pub suite: Suite,
    pub name: String,
    pub mode: Mode,
    pub batch: usize,
    subject: Subject<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Layer(&'static Layer),
    Network(&'a Model),
}

impl<'a> Case<'a> {
    pub fn model(&self) -> Result<Cow<'a, Model>> {
        Ok(match self.subject {
            Subject::Layer(layer) => Cow::Owned(layer.model()?),
            Subject::Network(model) => Cow::Borrowed(model),
        })
    }

    fn network(&self) -> Cow<'a, Network> {
        match self.subject {
            Subject::Layer(layer) => Cow::Owned(layer.network(layer.conv())),
            Subject::Network(model) => Cow::Borrowed(model.network()),
        }
    }

    /// Random inputs, the same every time.
    pub fn inputs(&self) -> Result<Vec<Tensor>> {
        let mut random = oorandom::Rand64::new(2);
        let input = |Input { shape: [c, h, w], items, .. }: &Input| {
            uniform(&mut random, [self.batch * items, *c, *h, *w].to_vec(), 2.0)
        };
        self.network().inputs.iter().map(input).collect()
    }

    /// What the adapter should give.
    pub async fn expected(&self, adapter: &Adapter, model: &Model, inputs: &[Tensor]) -> Result<Expected> {
        match self.subject {
            Subject::Layer(layer) => {
                let every = layer.checked_channels(self.macs()?);
                let winograd = |conv: &Conv2d, output| {
                    let whole = Conv2d { out_channels: layer.out_channels, ..conv.clone() };
                    adapter.gpu()?.winograd(&whole, output)
                };
                let estimates = run_with_error_of(&layer.narrowed(model, every)?, inputs, &winograd)?;
                Ok(Expected::from_some_channels(&estimates, every, layer.out_channels))
            }
            Subject::Network(_) => Expected::of(adapter, self.mode, model, inputs).await,
        }
    }

    /// Multiply-accumulates of a run.
    pub fn macs(&self) -> Result<u64> {
        let figure = |layer: &LayerCost| match self.mode {
            Mode::Folded => layer.macs_folded,
            Mode::Kernel => layer.macs_kernel,
            Mode::Feature => layer.macs_feature,
        };
        Ok(self.network().cost()?.total(figure).saturating_mul(self.batch as u64))
    }
}

/// The shape of a convolution with a square kernel and half of it as padding, on a square map.
#[derive(Debug)]
struct Layer {
    /// Kernel, stride, channels in and out, and behind the `@` the side of the input.
    name: &'static str,
    in_channels: usize,
    out_channels: usize,
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
const LAYERS: [Layer; 13] = [
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

impl Layer {
    fn conv(&self) -> Conv2d {
        Conv2d {
            stride: [self.stride; 2],
            padding: [self.kernel / 2; 4],
            groups: self.groups,
            bias: true,
            ..Conv2d::new(self.in_channels, self.out_channels, [self.kernel; 2])
        }
    }

    fn network(&self, conv: Conv2d) -> Network {
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

    fn model(&self) -> Result<Model> {
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

    /// One in how many output channels the reference has the time for. An odd number, so that these are not all of the same
    /// place in the vectors of four that shaders work with.
    fn checked_channels(&self, macs: u64) -> usize {
        let depthwise = self.groups > 1;
        if depthwise { 1 } else { macs.div_ceil(REFERENCE_MACS) as usize | 1 }
    }

    /// The same layer with only every so many-th output channel.
    fn narrowed(&self, model: &Model, every: usize) -> Result<Model> {
        let pick = |(name, tensor): (&String, &Tensor)| {
            let rows = tensor.data().chunks(tensor.data().len() / self.out_channels).step_by(every);
            let shape = [&[rows.len()], &tensor.shape()[1..]].concat();
            Ok((name.clone(), Tensor::new(shape, rows.flatten().copied().collect())?))
        };
        let weights = model.weights().iter().map(pick).collect::<Result<Weights>>()?;
        let out_channels = self.out_channels.div_ceil(every);
        let conv = Conv2d { out_channels, ..self.conv() };
        Model::new(self.network(conv), weights)
    }
}

/// Uniformly distributed within ± a bound.
fn uniform(random: &mut oorandom::Rand64, shape: Vec<usize>, bound: f64) -> Result<Tensor> {
    let count = shape.iter().product();
    Tensor::new(shape, (0..count).map(|_| (bound * (2.0 * random.rand_float() - 1.0)) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_what_their_names_say() {
        let cases = Suite::Layers.cases(None);
        assert_eq!(cases.len(), 13);
        for (case, layer) in cases.iter().zip(&LAYERS) {
            let stride = if layer.stride == 1 { String::new() } else { format!("s{}", layer.stride) };
            let (kernel, depthwise) = (layer.kernel, layer.groups > 1);
            let channels = if depthwise {
                layer.in_channels.to_string()
            } else {
                format!("{}-{}", layer.in_channels, layer.out_channels)
            };
            let kind = if depthwise { "dw" } else { "" };
            let name = format!("{kind}{kernel}x{kernel}{stride}-{channels}@{}", layer.side);
            assert_eq!(case.name.trim_start_matches("stem"), name);
        }
    }

    #[test]
    fn a_layer_has_its_cost_and_fitting_inputs() {
        let case = &Suite::Layers.cases(None)[0];
        assert_eq!(case.model().unwrap().network(), &*case.network());
        assert_eq!(case.macs().unwrap(), 118_013_952, "112² · 64 · 3 · 7²");
        let [input] = &case.inputs().unwrap()[..] else { panic!("one input") };
        assert_eq!(input.shape(), [1, 3, 224, 224]);
        assert_eq!(*input, case.inputs().unwrap()[0], "the same every time");
        assert!(input.data().iter().any(|&value| value > 1.9) && input.data().iter().any(|&value| value < -1.9));
    }

    #[test]
    fn a_network_comes_in_every_mode_and_no_model_means_none() {
        assert!(Suite::Networks.cases(None).is_empty());
        let model = LAYERS[12].model().unwrap();
        let modes: Vec<Mode> = Suite::Networks.cases(Some(&model)).iter().map(|case| case.mode).collect();
        assert_eq!(modes, Mode::ALL);
    }
}
