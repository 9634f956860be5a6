//! A step by itself, as a plan of its own: to see whether an adapter runs it right.

use super::{ConstantId, Conv, KernelId, KernelSource, Plan, Step, ValueId};
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
        *values = values.chunks(row).take(outputs).flat_map(|row| &row[..kept]).copied().collect();
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
