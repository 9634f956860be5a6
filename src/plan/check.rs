//! Whether the shapes of a plan agree: executors rely on that, down to shaders without bounds checks.
//!
//! Every plan is checked when it is made, in release builds too: a mistake in planning is then an error that names the
//! step, not a read or write beyond a buffer.

use super::{Binary, ComposeGradient, Conv, Factor, KernelSource, Pad, Plan, Pool, Step, ValueId, View};
#[cfg(training)]
use super::{LoadedPart, TrainStep};
use crate::network::{Conv2d, Shape};
use crate::{Error, Result};

impl Plan {
    /// The plan, if all of its shapes agree.
    ///
    /// # Errors
    /// [`Error::Network`] naming what the first step that does not fit would have computed: a defect of this crate.
    pub(super) fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// The same for a plan that has been extended.
    ///
    /// # Errors
    /// Those of [`Plan::checked`].
    pub(crate) fn check(&self) -> Result<()> {
        let mut known = vec![false; self.values.len()];
        let states = self.states.iter().map(|state| &state.value);
        self.inputs.iter().chain(states).for_each(|value| known[value.0] = true);
        for step in &self.steps {
            let inputs = step.inputs();
            if !inputs.iter().all(|input| known[input.0]) || !self.fits(step) {
                return Err(self.disagreement(step, &inputs));
            }
            step.output().into_iter().for_each(|output| known[output.0] = true);
        }
        match self.outputs.iter().find(|output| !known[output.0]) {
            Some(&output) => Err(Error::node(&self.value(output).name, "no step computes it (a defect of this crate)")),
            None => Ok(()),
        }
    }

    fn disagreement(&self, step: &Step, inputs: &[ValueId]) -> Error {
        let shapes: Vec<Shape> = inputs.iter().take(4).map(|&input| self.shape(input)).collect();
        let (name, output) = match step.output() {
            Some(output) => (self.value(output).name.as_str(), format!("{:?}", self.shape(output))),
            None => ("parameters", "nothing".into()),
        };
        Error::node(name, format!("planned as {output} from {shapes:?}, which do not fit (a defect of this crate)"))
    }

    fn shape(&self, value: ValueId) -> Shape {
        self.value(value).shape
    }

    fn fits(&self, step: &Step) -> bool {
        let shape = |value: &ValueId| self.shape(*value);
        match step {
            Step::Compose(_) | Step::Transpose(_) => true,
            Step::Conv(conv) => self.conv_fits(conv),
            Step::Pool(pool) => self.pool_fits(pool),
            Step::GlobalPool { input, output, .. } => {
                let [n, c, ..] = shape(input);
                shape(output) == [n, c, 1, 1]
            }
            Step::Binary(Binary { a, b, output, .. }) => {
                let (a, b) = (shape(a), shape(b));
                (0..4).all(|axis| {
                    let extent = shape(output)[axis];
                    a[axis].max(b[axis]) == extent && [a[axis], b[axis]].iter().all(|&own| own == extent || own == 1)
                })
            }
            Step::Activation { input, output, .. }
            | Step::Lrn { input, output, .. }
            | Step::Softmax { input, output, .. } => shape(input) == shape(output),
            Step::Concat { inputs, output } => {
                let [n, channels, h, w] = shape(output);
                let are_alike = inputs.iter().map(shape).all(|[n2, _, h2, w2]| [n2, h2, w2] == [n, h, w]);
                let all = inputs.iter().fold(0usize, |all, input| all.saturating_add(shape(input)[1]));
                are_alike && all == channels
            }
            Step::Constant { constant, output } => {
                let ([n, of_items @ ..], [copies, of_output @ ..]) = (self.constant(*constant).shape, shape(output));
                of_items == of_output && copies.is_multiple_of(n)
            }
            Step::Rearrange { view, input, output } => view.stays_inside(shape(input), shape(output)),
            Step::Pad(pad) => self.pad_fits(pad),
            Step::Resize { rows, columns, input, output } => {
                let (from, to) = (shape(input), shape(output));
                let has_rows = |axis: usize, table: Shape| table == [1, 2, to[axis], table[3]];
                let [rows, columns] = [rows, columns].map(|table| self.constant(*table).shape);
                // Shaders have one number of taps for both axes.
                from[..2] == to[..2] && has_rows(2, rows) && has_rows(3, columns) && rows[3] == columns[3]
            }
            Step::KernelMap { kernel, output } => shape(output) == self.kernel(*kernel).conv.kernel_shape(),
            Step::KernelGradient(step) => {
                let made = self.convolved(&step.conv, step.input);
                made == Some(shape(&step.grad_output)) && shape(&step.output) == step.conv.kernel_shape()
            }
            Step::BiasGradient { grad_output, output } => shape(output) == [1, shape(grad_output)[1], 1, 1],
            Step::ComposeGradient(step) => self.compose_gradient_fits(step),
            Step::PadGradient(step) => {
                let (from, to) = (shape(&step.grad_output), shape(&step.output));
                from[..2] == to[..2] && (0..2).all(|axis| to[2 + axis] + step.before[axis] <= from[2 + axis])
            }
            #[cfg(training)]
            Step::Train(step) => self.train_step_fits(step),
            #[cfg(not(training))]
            Step::Train(_) => true,
        }
    }

    /// What a convolution makes of a map; none if it cannot take it.
    fn convolved(&self, conv: &Conv2d, input: ValueId) -> Option<Shape> {
        let [n, channels, size @ ..] = self.shape(input);
        let mut output = [n, conv.out_channels, 0, 0];
        for axis in 0..2 {
            let padded = size[axis] + conv.padding[axis] + conv.padding[axis + 2];
            let free = padded.checked_sub((conv.kernel[axis] - 1) * conv.dilation[axis] + 1)?;
            output[2 + axis] = free / conv.stride[axis] + 1;
        }
        (channels == conv.in_channels).then_some(output)
    }

    fn conv_fits(&self, step: &Conv) -> bool {
        let (output, kernel) = (self.shape(step.output), &self.kernel(step.kernel).conv);
        self.convolved(&step.conv, step.input) == Some(output)
            && kernel.kernel_shape() == step.conv.kernel_shape()
            && kernel.groups == step.conv.groups
            && step.residual.is_none_or(|residual| self.shape(residual) == output)
    }

    /// The last window may reach beyond the padding, where the output size is rounded up, but none begins there.
    fn pool_fits(&self, pool: &Pool) -> bool {
        let ([n, channels, size @ ..], output) = (self.shape(pool.input), self.shape(pool.output));
        let begins_inside = |axis: usize| (output[2 + axis] - 1) * pool.stride[axis] < size[axis] + pool.padding[axis];
        output[..2] == [n, channels] && (0..2).all(begins_inside)
    }

    fn compose_gradient_fits(&self, step: &ComposeGradient) -> bool {
        let kernel = self.kernel(step.kernel);
        let (conv, KernelSource::Composed(composed)) = (&kernel.conv, &kernel.source) else { return false };
        let s = composed.attributes.d_mul;
        let factor = match step.factor {
            Factor::W => [conv.out_channels, conv.channels_per_group(), s, 1],
            Factor::D => [conv.in_channels, conv.taps(), s, 1],
        };
        self.shape(step.grad_kernel) == conv.kernel_shape() && self.shape(step.output) == factor
    }

    fn pad_fits(&self, pad: &Pad) -> bool {
        let (from, to) = (self.shape(pad.input), self.shape(pad.output));
        (0..4).all(|axis| from[axis] + pad.before[axis] <= to[axis])
    }

    #[cfg(training)]
    fn train_step_fits(&self, step: &TrainStep) -> bool {
        let shape = |value: ValueId| self.shape(value);
        let per_channel = |value: ValueId, of: ValueId| shape(value) == [2, shape(of)[1], 1, 1];
        let arenas_agree = |a, b| {
            let (a, b): (&[ValueId], &[ValueId]) = (self.arena(a), self.arena(b));
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| shape(a) == shape(b))
        };
        match step {
            TrainStep::Load(load) => {
                let conv = &self.kernel(load.kernel).conv;
                let [outputs, inputs, ..] = conv.kernel_shape();
                match (load.part, shape(load.input)) {
                    (LoadedPart::Kernel, own) => own == conv.kernel_shape(),
                    (LoadedPart::W, [o, i, ..]) => [o, i] == [outputs, inputs],
                    (LoadedPart::D, [i, taps, ..]) => [i, taps] == [conv.in_channels, conv.taps()],
                    (LoadedPart::Bias, own) => own == [1, outputs, 1, 1],
                }
            }
            TrainStep::BatchStatistics { input, output } => per_channel(*output, *input),
            TrainStep::Normalise(step) => {
                shape(step.input) == shape(step.output)
                    && per_channel(step.statistics, step.input)
                    && per_channel(step.affine, step.input)
                    && step.residual.is_none_or(|residual| shape(residual) == shape(step.output))
            }
            TrainStep::ActivationGradient { of, grad_output, output, .. } => {
                [*of, *grad_output].iter().all(|&value| shape(value) == shape(*output))
            }
            TrainStep::NormSums(step) => {
                shape(step.input) == shape(step.grad_output)
                    && per_channel(step.statistics, step.input)
                    && per_channel(step.output, step.input)
            }
            TrainStep::NormGradient(step) => {
                [step.input, step.grad_output].iter().all(|&value| shape(value) == shape(step.output))
                    && [step.statistics, step.affine, step.sums].iter().all(|&value| per_channel(value, step.input))
            }
            TrainStep::PoolGradient(step) => {
                shape(step.grad_output) == shape(step.pool.output)
                    && shape(step.output) == shape(step.pool.input)
                    && self.pool_fits(&step.pool)
            }
            TrainStep::CrossEntropy { logits, targets, output } => {
                let [n, classes, ..] = shape(*logits);
                shape(*logits) == [n, classes, 1, 1]
                    && shape(*targets) == shape(*logits)
                    && shape(*output) == [n, 2, 1, 1]
            }
            TrainStep::CrossEntropyGradient { logits, targets, output } => {
                let [n, classes, ..] = shape(*logits);
                [*logits, *targets, *output].iter().all(|&value| shape(value) == [n, classes, 1, 1])
            }
            TrainStep::Reduce { input, output } => {
                let (from, to) = (shape(*input), shape(*output));
                (0..4).all(|axis| to[axis] == from[axis] || to[axis] == 1)
            }
            TrainStep::SquareSum { output, .. } => shape(*output) == [1; 4],
            TrainStep::Blend(step) => shape(step.input) == shape(step.state) && shape(step.state)[0] <= 2,
            TrainStep::Accumulate(step) => arenas_agree(step.gradients, step.sums),
            TrainStep::Update(step) => {
                let mut others = step.moments.iter().chain([&step.gradients]);
                others.all(|&arena| arenas_agree(step.parameters, arena))
            }
        }
    }
}

impl View {
    /// Whether every element of a map of this shape comes from inside its own element of the batch.
    fn stays_inside(&self, from: Shape, to: Shape) -> bool {
        let (mut least, mut most) = (self.offset as isize, self.offset as isize);
        for (axis, extent) in self.axes.iter().zip(to) {
            // The way along an axis bends only where the outer stride is due, so that it turns at one of these.
            let (last, whole) = (extent - 1, (extent - 1) / axis.inner * axis.inner);
            let turns = [0, axis.inner - 1, whole.saturating_sub(axis.inner), whole.saturating_sub(1), whole, last];
            let ways = turns.map(|index| axis.distance(index.min(last)));
            least += ways.iter().min().copied().unwrap_or(0);
            most += ways.iter().max().copied().unwrap_or(0);
        }
        let elements: usize = from.iter().product();
        least >= 0 && most.unsigned_abs() < elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv2d, DoConv, FORMAT_VERSION, Input, Network, Node, Op, Pairing, Slice};
    use crate::plan::{AxisView, Mode};
    use crate::{Model, Tensor, Weights};

    /// A 3×3 layer on inputs of several items.
    fn model(items: usize) -> Model {
        let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
        let conv = Conv2d { padding: [1; 4], doconv, ..Conv2d::new(2, 5, [3, 3]) };
        let network = Network {
            version: FORMAT_VERSION,
            name: "one layer".into(),
            inputs: vec![Input { items, ..Input::new("input", [2, 4, 4]) }],
            nodes: vec![Node { name: "conv".into(), inputs: vec!["input".into()], op: Op::Conv2d(conv) }],
            outputs: vec!["conv".into()],
            preprocess: None,
            labels: vec![],
        };
        let weights =
            Weights::from([("conv.W".into(), Tensor::zeros([5, 2, 9])), ("conv.D".into(), Tensor::zeros([2, 9, 9]))]);
        Model::new(network, weights).unwrap()
    }

    #[test]
    fn every_extent_of_every_value_counts() {
        for mode in Mode::ALL {
            let plan = Plan::new(&model(3), mode).unwrap();
            for value in 0..plan.values.len() {
                for axis in 0..4 {
                    let mut wrong = plan.clone();
                    wrong.values[value].shape[axis] += 1;
                    let error = wrong.check().unwrap_err().to_string();
                    assert!(error.contains("do not fit"), "{error}");
                }
            }
            let mut early = plan.clone();
            early.steps.retain(|step| step.output().is_none());
            assert!(early.check().unwrap_err().to_string().contains("no step computes it"));
        }
    }

    #[test]
    fn views_are_followed_to_their_ends() {
        let from = [2, 3, 4, 5];
        let slice = Slice { start: [1, 2, 3, 4], step: [-1, -2, -1, -3], count: [2, 2, 4, 2] };
        for (view, to) in [
            (View::reshape([4, 5, 3, 2]), [4, 5, 3, 2]),
            (View::transpose(from, [3, 1, 0, 2]), [5, 3, 2, 4]),
            (View::slice(from, &slice), slice.count),
            (View::interleave([2, 12, 2, 5], [2, 3]), [2, 2, 4, 13]),
        ] {
            let source = if to == [2, 2, 4, 13] { [2, 12, 2, 5] } else { from };
            assert!(view.stays_inside(source, to), "{view:?}");
            let further = View { offset: view.offset + source.iter().product::<usize>(), ..view.clone() };
            assert!(!further.stays_inside(source, to), "{view:?}");
            assert!(!view.stays_inside([1, 1, 1, 5], to), "{view:?}");
        }
        // It turns in the middle: 0, 10, −5, 5, −10.
        let axis = AxisView { inner: 2, outer_stride: -5, inner_stride: 10 };
        let one = AxisView::new(0);
        let view = |offset| View { offset, axes: [one, one, one, axis] };
        assert!(view(10).stays_inside([1, 1, 1, 21], [1, 1, 1, 5]));
        assert!(!view(9).stays_inside([1, 1, 1, 21], [1, 1, 1, 5]));
        assert!(!view(10).stays_inside([1, 1, 1, 20], [1, 1, 1, 5]));
    }
}
