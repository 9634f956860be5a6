//! Plans of single steps, for the self-check and autotuning.

use std::sync::Arc;

use super::{ConstantId, Conv, KernelId, KernelSource, Plan, Step, ValueId};
use crate::Tensor;
use crate::doconv::Composed;
use crate::network::Shape;

impl Plan {
    /// A plan for `count` steps from `first` on: its inputs are what they read from others, its output what the last of them
    /// writes. None for steps without output, and for those of gradients, which belong together.
    pub(crate) fn part(&self, first: usize, count: usize) -> Option<Self> {
        let mut part = Part::default();
        let steps = self.steps.get(first..first + count)?;
        let steps = steps.iter().map(|step| part.take(step)).collect::<Option<Vec<_>>>()?;
        let outputs = vec![steps.last()?.output()?];
        let written: Vec<ValueId> = steps.iter().filter_map(Step::output).collect();
        let mut inputs = vec![];
        for id in steps.iter().flat_map(Step::inputs).filter(|id| !written.contains(id)) {
            place(&mut inputs, id);
        }
        let kernels = part.kernels.iter().map(|&id| self.kernel(id).clone()).collect();
        let constants = part.constants.iter().map(|&id| self.constant(id).clone()).collect();
        let values = self.values.clone();
        Some(Self { values, kernels, constants, steps, inputs, outputs, states: vec![], arenas: vec![] })
    }

    /// The same on maps so many times smaller along both axes, where the steps allow that: not where a map is repeated along
    /// one axis only.
    pub(crate) fn shrunk(&self, factor: usize) -> Option<Self> {
        let mut small = self.clone();
        let less = |extent: usize| extent.div_ceil(factor);
        for step in &self.steps {
            let output = step.output()?;
            // What a window slides over must still be as large as the window.
            let (kernel, stride, padding, dilation) = match step {
                Step::Conv(conv) => (conv.conv.kernel, conv.conv.stride, conv.conv.padding, conv.conv.dilation),
                Step::Pool(pool) => (pool.kernel, pool.stride, pool.padding, pool.dilation),
                Step::Activation { .. }
                | Step::Binary(_)
                | Step::Concat { .. }
                | Step::Softmax { .. }
                | Step::Lrn { .. } => ([1; 2], [1; 2], [0; 4], [1; 2]),
                _ => return None,
            };
            let mut shape: Option<[usize; 2]> = None;
            for id in step.inputs() {
                let [_, _, h, w] = self.value(id).shape;
                let residual = matches!(step, Step::Conv(conv) if conv.residual == Some(id) && conv.input != id);
                if residual || [h, w] == [1, 1] {
                    continue;
                }
                let window = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
                let size = [less(h).max(window[0]), less(w).max(window[1])];
                set(&mut small, id, size);
                shape = Some(size);
            }
            let size = shape?;
            let out = [0, 1].map(|axis| {
                let padded = size[axis] + padding[axis] + padding[axis + 2];
                Some(padded.checked_sub((kernel[axis] - 1) * dilation[axis] + 1)? / stride[axis] + 1)
            });
            let out = [out[0]?, out[1]?];
            set(&mut small, output, out);
            if let Step::Conv(conv) = step
                && let Some(residual) = conv.residual
            {
                set(&mut small, residual, out);
            }
        }
        small.checked().ok()
    }

    /// One ungrouped convolution with so many times fewer channels on both sides: the first ones, in whole slices. None for
    /// other plans, for kernels that are made of others, and where nothing would be left out.
    pub(crate) fn narrowed(&self, factor: usize) -> Option<Self> {
        let mut small = self.clone();
        let ([Step::Conv(step)], [kernel]) = (&mut small.steps[..], &mut small.kernels[..]) else { return None };
        let (conv, KernelSource::Plain(values)) = (&step.conv, &mut kernel.source) else { return None };
        let fewer = |channels: usize| match channels % 4 {
            0 => channels.min((channels / factor).next_multiple_of(4).max(FEWEST_CHANNELS)),
            _ => channels,
        };
        let (inputs, outputs) = (fewer(conv.in_channels), fewer(conv.out_channels));
        // A map that is both input and residual would have two numbers of channels.
        if conv.groups != 1
            || step.residual == Some(step.input)
            || conv.in_channels + conv.out_channels == inputs + outputs
        {
            return None;
        }
        let (row, kept) = (conv.in_channels * conv.taps(), inputs * conv.taps());
        *values = Arc::new(values.chunks(row).take(outputs).flat_map(|row| &row[..kept]).copied().collect());
        kernel.bias.truncate(outputs);
        (step.conv.in_channels, step.conv.out_channels) = (inputs, outputs);
        kernel.conv = step.conv.clone();
        small.values[step.input.0].shape[1] = inputs;
        for id in step.residual.into_iter().chain([step.output]) {
            small.values[id.0].shape[1] = outputs;
        }
        small.checked().ok()
    }
}

impl Plan {
    /// The same with other parameters: kernels, biases and constants drawn at random, so that outputs are about as large as
    /// inputs. Kernels that are made from others are plain ones. The tables of interpolations stay.
    pub(crate) fn randomised(&self, draw: &mut impl FnMut() -> f32) -> Self {
        let mut random = self.clone();
        let mut filled = |length: usize, scale: f32| (0..length).map(|_| scale * draw()).collect::<Vec<f32>>();
        for kernel in &mut random.kernels {
            let conv = &kernel.conv;
            let scale = 1.0 / ((conv.channels_per_group() * conv.taps()) as f32).sqrt();
            // One that has no bias may run as a part of another.
            kernel.bias = filled(conv.out_channels, if conv.bias { 0.5 } else { 0.0 });
            kernel.source = match &kernel.source {
                // By the layer's shapes: the plan of an executor has let go of W and D.
                KernelSource::Composed(composed) => {
                    let [w, d] = composed.shapes(conv);
                    let mut tensor = |shape: [usize; 3], scale| {
                        let mut tensor = Tensor::zeros(shape);
                        let values = filled(tensor.data().len(), scale);
                        tensor.data_mut().copy_from_slice(&values);
                        tensor
                    };
                    let attributes = composed.attributes;
                    let (w, d) = (tensor(w, scale), tensor(d, 1.0 / (attributes.d_mul as f32).sqrt()));
                    KernelSource::Composed(Composed { w, d, attributes })
                }
                KernelSource::Plain(_) | KernelSource::Transposed(_) => {
                    let length = conv.out_channels * conv.channels_per_group() * conv.taps();
                    KernelSource::Plain(Arc::new(filled(length, scale)))
                }
            };
        }
        for (index, constant) in random.constants.iter_mut().enumerate() {
            if !self.is_table(ConstantId(index)) {
                constant.values = filled(constant.shape.iter().product(), 1.0);
            }
        }
        random
    }

    /// The same without activations, and with this function applied to every parameter: with absolute values, given those of
    /// the inputs, it computes the sums of the absolute values of all products.
    pub(crate) fn linear_with(&self, function: fn(f32) -> f32) -> Self {
        let mut linear = self.clone();
        for step in &mut linear.steps {
            if let Step::Conv(conv) = step {
                conv.activation = None;
            }
        }
        for kernel in &mut linear.kernels {
            kernel.bias.iter_mut().for_each(|value| *value = function(*value));
            match &mut kernel.source {
                KernelSource::Plain(values) => {
                    Arc::make_mut(values).iter_mut().for_each(|value| *value = function(*value));
                }
                KernelSource::Composed(Composed { w, d, .. }) => {
                    let values = w.data_mut().iter_mut().chain(d.data_mut());
                    values.for_each(|value| *value = function(*value));
                }
                KernelSource::Transposed(_) => {}
            }
        }
        linear
    }

    /// Whether a constant is a table of an interpolation.
    pub(crate) fn is_table(&self, id: ConstantId) -> bool {
        let reads = |step: &Step| matches!(step, Step::Resize { rows, columns, .. } if *rows == id || *columns == id);
        self.steps.iter().any(reads)
    }
}

/// Enough for every loop over slices to be run several times.
const FEWEST_CHANNELS: usize = 64;

fn set(plan: &mut Plan, id: ValueId, [height, width]: [usize; 2]) {
    let shape: &mut Shape = &mut plan.values[id.0].shape;
    (shape[2], shape[3]) = (height, width);
}

/// Kernels and constants of the whole plan, in the order that they have in the part.
#[derive(Default)]
struct Part {
    kernels: Vec<KernelId>,
    constants: Vec<ConstantId>,
}

/// Where something is in a list, at the end of which it is put if it is not there.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

impl Part {
    fn take(&mut self, step: &Step) -> Option<Step> {
        Some(match step {
            Step::Conv(conv) => {
                let kernel = KernelId(place(&mut self.kernels, conv.kernel));
                Step::Conv(Conv { kernel, ..conv.clone() })
            }
            Step::Constant { constant, output } => {
                Step::Constant { constant: self.constant(*constant), output: *output }
            }
            Step::Resize { rows, columns, input, output } => {
                let (rows, columns) = (self.constant(*rows), self.constant(*columns));
                Step::Resize { rows, columns, input: *input, output: *output }
            }
            Step::Compose(_)
            | Step::Transpose(_)
            | Step::KernelMap { .. }
            | Step::KernelGradient(_)
            | Step::BiasGradient { .. }
            | Step::ComposeGradient(_)
            | Step::PadGradient(_)
            | Step::Train(_) => return None,
            other => other.clone(),
        })
    }

    fn constant(&mut self, id: ConstantId) -> ConstantId {
        ConstantId(place(&mut self.constants, id))
    }
}
