//! Layers that have parameters: convolutions in every mode, fully connected layers and batch norms.

use std::sync::Arc;

use super::Lowering;
#[cfg(training)]
use super::TrainedNorm;
use crate::doconv::{Composed, has_feature_form};
use crate::model::{Affine, ConvWeights};
use crate::network::{BatchNorm, Conv2d, ConvTranspose2d, Linear, Node, PaddingMode};
use crate::plan::{Conv, Kernel, KernelId, KernelSource, Mode, Pad, Step, SubPixel, ValueId};
#[cfg(training)]
use crate::plan::{Normalise, TrainStep};
use crate::{Error, Result, Tensor};

impl Lowering<'_> {
    fn bias(&self, node: &Node, present: bool, channels: usize) -> Result<Vec<f32>> {
        if !present {
            return Ok(vec![0.0; channels]);
        }
        Ok(self.model.tensor(&format!("{}.bias", node.name), &[channels])?.data().to_vec())
    }

    fn push_conv(&mut self, kernel: Kernel, input: ValueId, output: ValueId) {
        let parts = if self.splits_kernels { split(&kernel) } else { vec![] };
        if parts.is_empty() {
            return self.push_whole_conv(kernel, input, output);
        }
        let [n, _, height, width] = self.shape(output);
        let inputs = parts.into_iter().map(|part| {
            let value = self.new_value(&part.name, [n, part.conv.out_channels, height, width]);
            self.push_whole_conv(part, input, value);
            value
        });
        let inputs = inputs.collect();
        self.push(Step::Concat { inputs, output });
    }

    fn push_whole_conv(&mut self, kernel: Kernel, input: ValueId, output: ValueId) {
        let (name, conv) = (kernel.name.clone(), kernel.conv.clone());
        let kernel = self.push_kernel(kernel);
        self.push(Step::Conv(Conv { name, conv, kernel, input, residual: None, activation: None, output }));
    }

    pub(super) fn convolution(&mut self, node: &Node, conv: &Conv2d, input: ValueId, output: ValueId) -> Result<()> {
        let bias = self.bias(node, conv.bias, conv.out_channels)?;
        let name = node.name.clone();
        let weights = self.model.conv_weights(node, conv)?;
        let (input, conv) = self.padded(&name, conv, input);
        let conv = &conv;
        match (weights, self.mode) {
            (ConvWeights::Composed(composed), Mode::Feature) => {
                self.feature_composition(&name, conv, composed, bias, input, output)?;
            }
            (ConvWeights::Composed(composed), mode) => {
                if mode == Mode::Kernel {
                    self.push(Step::Compose(KernelId(self.plan.kernels.len())));
                }
                let source = KernelSource::Composed(composed);
                self.push_conv(Kernel { name, conv: conv.clone(), source, bias }, input, output);
            }
            (ConvWeights::Folded(kernel), _) => {
                let source = KernelSource::Plain(kernel.into_shared());
                self.push_conv(Kernel { name, conv: conv.clone(), source, bias }, input, output);
            }
        }
        Ok(())
    }

    /// Convolutions only know zeros outside their input; whatever else is wanted there becomes part of it.
    fn padded(&mut self, name: &str, conv: &Conv2d, input: ValueId) -> (ValueId, Conv2d) {
        let [top, left, bottom, right] = conv.padding;
        if conv.padding_mode == PaddingMode::Zeros || conv.padding == [0; 4] {
            return (input, Conv2d { padding_mode: PaddingMode::Zeros, ..conv.clone() });
        }
        let [n, c, h, w] = self.shape(input);
        let output = self.new_value(&format!("{name}.padded"), [n, c, h + top + bottom, w + left + right]);
        let (before, mode) = ([0, 0, top, left], conv.padding_mode);
        self.push(Step::Pad(Pad { before, mode, value: 0.0, input, output }));
        (output, Conv2d { padding: [0; 4], padding_mode: PaddingMode::Zeros, ..conv.clone() })
    }

    /// A sub-pixel convolution and, where there is a stride, its interleaving.
    pub(super) fn transposed(
        &mut self,
        node: &Node,
        conv: &ConvTranspose2d,
        input: ValueId,
        output: ValueId,
    ) -> Result<()> {
        let weight = self.model.tensor(&format!("{}.weight", node.name), &conv.kernel_shape())?;
        let [n, _, height, width] = self.shape(input);
        let [_, _, out_height, out_width] = self.shape(output);
        let sub_pixel = SubPixel::new(conv, [height, width], [out_height, out_width]);
        sub_pixel.conv.check().map_err(|reason| Error::node(&node.name, reason))?;
        let parts = sub_pixel.parts[0] * sub_pixel.parts[1];
        let bias = self.bias(node, conv.bias, conv.out_channels)?;
        let kernel = Kernel {
            name: node.name.clone(),
            source: KernelSource::Plain(Arc::new(sub_pixel.kernel(conv, weight.data()))),
            bias: bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, parts)).collect(),
            conv: sub_pixel.conv.clone(),
        };
        let Some(view) = sub_pixel.view.clone() else {
            self.push_conv(kernel, input, output);
            return Ok(());
        };
        let [rows, columns] = sub_pixel.computed([height, width]);
        let blocks = self.new_value(&format!("{}.parts", node.name), [n, kernel.conv.out_channels, rows, columns]);
        self.push_conv(kernel, input, blocks);
        self.push(Step::Rearrange { view, input: blocks, output });
        Ok(())
    }

    /// Depthwise with D, which carries the geometry (channel `c·S + s`), then grouped 1×1 with W.
    fn feature_composition(
        &mut self,
        name: &str,
        conv: &Conv2d,
        composed: Composed,
        bias: Vec<f32>,
        input: ValueId,
        output: ValueId,
    ) -> Result<()> {
        let Composed { w, d, attributes } = composed;
        if !has_feature_form(conv, attributes.pairing) {
            return Err(Error::Unsupported(format!(
                "{name}: with {} groups of {} inputs and {} outputs the torch pairing lets one input channel meet \
                 several D, which feature composition cannot express; use mode folded or kernel",
                conv.groups,
                conv.channels_per_group(),
                conv.outputs_per_group()
            )));
        }
        let s = attributes.d_mul;
        let [n, _, height, width] = self.shape(output);
        let middle = self.new_value(&format!("{name}.D"), [n, conv.in_channels * s, height, width]);
        let depthwise = Conv2d {
            out_channels: conv.in_channels * s,
            groups: conv.in_channels,
            bias: false,
            doconv: None,
            ..conv.clone()
        };
        let pointwise =
            Conv2d { groups: conv.groups, bias: true, ..Conv2d::new(conv.in_channels * s, conv.out_channels, [1, 1]) };
        self.push_conv(
            Kernel {
                name: format!("{name}.D"),
                bias: vec![0.0; depthwise.out_channels],
                source: KernelSource::Plain(Arc::new(taps_last(&d))),
                conv: depthwise,
            },
            input,
            middle,
        );
        let source = KernelSource::Plain(w.into_shared());
        self.push_conv(Kernel { name: format!("{name}.W"), conv: pointwise, source, bias }, middle, output);
        Ok(())
    }

    /// A convolution whose kernel is as large as the map: the weights of a linear layer over NCHW features are just
    /// such a kernel in OIHW.
    pub(super) fn linear(&mut self, node: &Node, linear: &Linear, input: ValueId, output: ValueId) -> Result<()> {
        let [_, channels, height, width] = self.plan.values[input.0].shape;
        let conv = Conv2d { bias: linear.bias, ..Conv2d::new(channels, linear.out_features, [height, width]) };
        let weight = format!("{}.weight", node.name);
        let weight = self.model.tensor(&weight, &[linear.out_features, linear.in_features])?;
        let bias = self.bias(node, linear.bias, linear.out_features)?;
        let source = KernelSource::Plain(weight.clone().into_shared());
        self.push_conv(Kernel { name: node.name.clone(), conv, source, bias }, input, output);
        Ok(())
    }

    /// A batch norm that follows no convolution is a depthwise 1×1 one.
    pub(super) fn batch_norm(&mut self, node: &Node, norm: &BatchNorm, input: ValueId, output: ValueId) -> Result<()> {
        #[cfg(training)]
        if self.training.as_ref().is_some_and(|training| (training.trains)(&format!("{}.weight", node.name))) {
            self.trained_norm(node, norm, input, output);
            return Ok(());
        }
        let affine = Affine::of(&node.name, norm, self.model.weights())?;
        let channels = affine.scale.len();
        let conv = Conv2d { groups: channels, bias: true, ..Conv2d::new(channels, channels, [1, 1]) };
        let source = KernelSource::Plain(Arc::new(affine.scale.iter().map(|&scale| scale as f32).collect()));
        let bias = affine.shift.iter().map(|&shift| shift as f32).collect();
        self.push_conv(Kernel { name: node.name.clone(), conv, source, bias }, input, output);
        Ok(())
    }

    #[cfg(training)]
    fn trained_norm(&mut self, node: &Node, norm: &BatchNorm, input: ValueId, output: ValueId) {
        let shape = [2, norm.channels, 1, 1];
        let statistics = self.new_value(&format!("{}.statistics", node.name), shape);
        let affine = self.new_value(&format!("{}.parameters", node.name), shape);
        self.push(Step::Train(TrainStep::BatchStatistics { input, output: statistics }));
        let eps = norm.eps as f32;
        let (residual, activation) = (None, None);
        let normalise = Normalise { eps, input, statistics, affine, residual, activation, output };
        self.push(Step::Train(TrainStep::Normalise(normalise)));
        if let Some(training) = &mut self.training {
            training.norms.push(TrainedNorm { name: node.name.clone(), input, statistics, affine });
        }
    }
}

/// What every WebGPU device can bind at once: 128 MiB, less what padding to whole vectors may add.
const MOST_KERNEL_ELEMENTS: usize = (120 << 20) / size_of::<f32>();

/// The parts of a kernel that is too large for some devices (the first fully connected layer of VGG-16 has 411 MB), each
/// for some of the output channels; none for one that is not.
fn split(kernel: &Kernel) -> Vec<Kernel> {
    let (conv, KernelSource::Plain(values)) = (&kernel.conv, &kernel.source) else { return vec![] };
    let row = conv.in_channels * conv.taps();
    if values.len() <= MOST_KERNEL_ELEMENTS || conv.groups != 1 {
        return vec![];
    }
    // Whole vectors of outputs.
    let outputs = (MOST_KERNEL_ELEMENTS / row / 4 * 4).max(4);
    let part = |(index, values): (usize, &[f32])| {
        let out_channels = values.len() / row;
        Kernel {
            name: format!("{}.part{index}", kernel.name),
            conv: Conv2d { out_channels, ..conv.clone() },
            source: KernelSource::Plain(Arc::new(values.to_vec())),
            bias: kernel.bias[index * outputs..][..out_channels].to_vec(),
        }
    };
    values.chunks(outputs * row).enumerate().map(part).collect()
}

/// `[in, K, S]` as the OIHW kernel of a depthwise convolution: `[in·S, 1, K]`.
fn taps_last(d: &Tensor) -> Vec<f32> {
    let &[channels, taps, s] = d.shape() else { unreachable!("an effective D has three axes") };
    let mut kernel = Vec::with_capacity(d.data().len());
    for channel in 0..channels {
        for column in 0..s {
            kernel.extend((0..taps).map(|m| d.data()[(channel * taps + m) * s + column]));
        }
    }
    kernel
}
