//! The backward pass of a plan: gradients as further steps, whose results are values like all others.
//!
//! Gradients sum over the batch, so the batch has to be part of the plan: every shape is for all of it, and the plan is
//! run as a batch of one.

#[cfg(training)]
use std::collections::HashSet;

use super::{
    Binary, BinaryOp, ComposeGradient, Conv, Factor, Kernel, KernelGradient, KernelId, KernelSource, Pad, PadGradient,
    Plan, Step, SubPixel, Transposed, Value, ValueId,
};
#[cfg(training)]
use super::{NormGradient, NormSums, Normalise, Pool, PoolGradient, TrainStep, View};
#[cfg(training)]
use crate::network::{Activation, Slice};
use crate::network::{ConvTranspose2d, Shape};
use crate::{Error, Result};

/// Where the gradients of a plan are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gradients {
    /// Of the plan's inputs, in their order; `None` where the outputs do not depend on one.
    pub inputs: Vec<Option<ValueId>>,
    /// Of every kernel that a convolution of the forward pass has used.
    pub kernels: Vec<KernelGradients>,
}

/// The gradients that belong to one kernel.
#[derive(Clone, Debug)]
pub(crate) struct KernelGradients {
    pub kernel: KernelId,
    /// `[out, in / groups, rows, columns]`.
    pub values: ValueId,
    /// Of the two kernels that it is composed of: `[out, in / groups, S, 1]` and `[in, K, S, 1]`.
    pub factors: Option<[ValueId; 2]>,
    /// `[1, out, 1, 1]`.
    pub bias: ValueId,
}

impl Plan {
    /// The same plan for a fixed batch: to be run as a batch of one.
    pub(crate) fn with_batch(mut self, batch: usize) -> Self {
        self.values.iter_mut().for_each(|value| value.shape = value.batched(batch));
        self
    }

    pub(crate) fn add_kernel(&mut self, kernel: Kernel) -> KernelId {
        self.kernels.push(kernel);
        KernelId(self.kernels.len() - 1)
    }

    pub(crate) fn add_value(&mut self, name: String, shape: Shape) -> ValueId {
        self.values.push(Value { name, shape });
        ValueId(self.values.len() - 1)
    }

    /// Adds a value that holds a kernel, and makes it an output.
    pub(crate) fn add_kernel_map(&mut self, kernel: KernelId) -> ValueId {
        let name = format!("{}.kernel", self.kernel(kernel).name);
        let output = self.add_value(name, self.kernel(kernel).conv.kernel_shape());
        self.steps.push(Step::KernelMap { kernel, output });
        self.outputs.push(output);
        output
    }

    /// Appends the steps that compute the gradients of `Σ grad_output · output` over all outputs so far.
    ///
    /// The gradients of the outputs become further inputs, in the order of the outputs. What is found is said in the
    /// result; it is not made an output.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a step that has no gradient here.
    pub(crate) fn add_gradients(&mut self) -> Result<Gradients> {
        let mut backward = Backward::new(self);
        let outputs = backward.plan.outputs.clone();
        for output in outputs {
            let value = backward.plan.value(output);
            let (name, shape) = (format!("gradient of {}", value.name), value.shape);
            let gradient = backward.plan.add_value(name, shape);
            backward.plan.inputs.push(gradient);
            backward.gradient_of[output.0] = Some(gradient);
        }
        let forward = backward.plan.steps.clone();
        let inputs = backward.plan.inputs[..backward.plan.inputs.len() - backward.plan.outputs.len()].to_vec();
        for step in forward.iter().rev() {
            backward.step(step)?;
        }
        let kernels = backward.kernels;
        let inputs = inputs.iter().map(|input| backward.gradient_of[input.0]).collect();
        Ok(Gradients { inputs, kernels })
    }

    /// The same for what is there of a loss: `gradient` is that of `output` already. Nothing is sought, nor has to have a
    /// gradient, that depends neither on a state nor on one of the `trained` kernels.
    #[cfg(training)]
    pub(super) fn add_gradients_from(
        &mut self,
        output: ValueId,
        gradient: ValueId,
        trained: &HashSet<KernelId>,
    ) -> Result<TrainedGradients> {
        let forward = self.steps.clone();
        let depends = self.depends_on_training(trained);
        let mut backward = Backward::new(self);
        backward.depends = Some(depends);
        backward.gradient_of[output.0] = Some(gradient);
        for step in forward.iter().rev() {
            backward.step(step)?;
        }
        Ok(TrainedGradients { kernels: backward.kernels, norms: backward.norms })
    }

    /// For every value, whether what is trained has a part in it.
    #[cfg(training)]
    fn depends_on_training(&self, trained: &HashSet<KernelId>) -> Vec<bool> {
        let mut depends = vec![false; self.values.len()];
        self.states.iter().for_each(|state| depends[state.value.0] = true);
        for step in &self.steps {
            let Some(output) = step.output() else { continue };
            let by_kernel = matches!(step, Step::Conv(conv) if trained.contains(&conv.kernel));
            depends[output.0] = by_kernel || step.inputs().iter().any(|input| depends[input.0]);
        }
        depends
    }

    /// Drops the steps whose results no output, state or arena depends on.
    pub(crate) fn prune(&mut self) {
        let mut wanted = vec![false; self.values.len()];
        let states = self.states.iter().map(|state| &state.value);
        self.outputs.iter().chain(states).chain(self.arenas.iter().flatten()).for_each(|value| wanted[value.0] = true);
        let mut used = vec![false; self.kernels.len()];
        let mut kept = vec![];
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            let keep = match step {
                Step::Compose(kernel) | Step::Transpose(kernel) => used[kernel.0],
                #[cfg(training)]
                Step::Train(TrainStep::Load(_) | TrainStep::Accumulate(_) | TrainStep::Update(_)) => true,
                _ => step.output().is_some_and(|output| wanted[output.0]),
            };
            if !keep {
                continue;
            }
            step.inputs().iter().for_each(|input| wanted[input.0] = true);
            match &step {
                Step::Conv(conv) => used[conv.kernel.0] = true,
                Step::KernelMap { kernel, .. } => used[kernel.0] = true,
                Step::Transpose(kernel) => {
                    if let KernelSource::Transposed(transposed) = &self.kernel(*kernel).source {
                        used[transposed.of.0] = true;
                    }
                }
                _ => {}
            }
            kept.push(step);
        }
        kept.reverse();
        self.steps = kept;
    }
}

/// The gradients of everything that is trained.
#[cfg(training)]
pub(super) struct TrainedGradients {
    pub kernels: Vec<KernelGradients>,
    pub norms: Vec<NormGradients>,
}

/// The gradient of a batch norm's parameter.
#[cfg(training)]
pub(super) struct NormGradients {
    /// Bias and weight.
    pub affine: ValueId,
    /// Of these.
    pub sums: ValueId,
}

struct Backward<'a> {
    plan: &'a mut Plan,
    /// For every value of the forward pass.
    gradient_of: Vec<Option<ValueId>>,
    /// Whether it is of use, where not every gradient is.
    depends: Option<Vec<bool>>,
    kernels: Vec<KernelGradients>,
    #[cfg(training)]
    norms: Vec<NormGradients>,
}

impl<'a> Backward<'a> {
    fn new(plan: &'a mut Plan) -> Self {
        Self {
            gradient_of: vec![None; plan.values.len()],
            depends: None,
            kernels: vec![],
            #[cfg(training)]
            norms: vec![],
            plan,
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let Some(output) = step.output() else { return Ok(()) };
        let Some(gradient) = self.gradient_of[output.0] else { return Ok(()) };
        match step {
            Step::Conv(conv) if conv.activation.is_none() && conv.residual.is_none() => self.conv(conv, gradient),
            Step::Pad(pad) if pad.before[..2] == [0, 0] && self.keeps_channels(pad) => self.pad(pad, gradient),
            #[cfg(training)]
            _ => return self.training_step(step, gradient),
            #[cfg(not(training))]
            _ => return Err(self.unsupported(output)),
        }
        Ok(())
    }

    fn unsupported(&self, output: ValueId) -> Error {
        let way_out = if self.depends.is_some() { "; freeze all parameters before it" } else { "" };
        let name = &self.plan.value(output).name;
        Error::Unsupported(format!("`{name}`: this operator has no gradient yet{way_out}"))
    }

    /// Whether only rows and columns are padded.
    fn keeps_channels(&self, pad: &Pad) -> bool {
        self.plan.value(pad.input).shape[..2] == self.plan.value(pad.output).shape[..2]
    }

    fn conv(&mut self, step: &Conv, grad_output: ValueId) {
        let name = &step.name;
        let values = self.plan.add_value(format!("gradient of {name}.kernel"), step.conv.kernel_shape());
        let (input, conv) = (step.input, step.conv.clone());
        let kernel_gradient = KernelGradient { name: name.clone(), conv, input, grad_output, output: values };
        self.plan.steps.push(Step::KernelGradient(kernel_gradient));
        let bias = self.plan.add_value(format!("gradient of {name}.bias"), [1, step.conv.out_channels, 1, 1]);
        self.plan.steps.push(Step::BiasGradient { grad_output, output: bias });
        let factors = self.factors(step, values);
        self.kernels.push(KernelGradients { kernel: step.kernel, values, factors, bias });
        let gradient = self.conv_input(step, grad_output);
        self.accumulate(step.input, gradient);
    }

    fn factors(&mut self, step: &Conv, grad_kernel: ValueId) -> Option<[ValueId; 2]> {
        let KernelSource::Composed(composed) = &self.plan.kernel(step.kernel).source else { return None };
        let (conv, s) = (&step.conv, composed.attributes.d_mul);
        let w = [conv.out_channels, conv.channels_per_group(), s, 1];
        let d = [conv.in_channels, conv.taps(), s, 1];
        Some([(Factor::W, "W", w), (Factor::D, "D", d)].map(|(factor, part, shape)| {
            let output = self.plan.add_value(format!("gradient of {}.{part}", step.name), shape);
            let kernel = step.kernel;
            self.plan.steps.push(Step::ComposeGradient(ComposeGradient { kernel, factor, grad_kernel, output }));
            output
        }))
    }

    fn pad(&mut self, step: &Pad, grad_output: ValueId) {
        let input = self.plan.value(step.input);
        let (name, shape) = (format!("gradient of {}", input.name), input.shape);
        let output = self.plan.add_value(name, shape);
        let before = [step.before[2], step.before[3]];
        self.plan.steps.push(Step::PadGradient(PadGradient { before, mode: step.mode, grad_output, output }));
        self.accumulate(step.input, output);
    }

    /// The transposed convolution, with the kernel as it is at this run.
    fn conv_input(&mut self, step: &Conv, grad_output: ValueId) -> ValueId {
        let forward = &step.conv;
        let input = self.plan.value(step.input);
        let (name, shape) = (format!("gradient of {}", input.name), input.shape);
        let conv = ConvTranspose2d {
            in_channels: forward.out_channels,
            out_channels: forward.in_channels,
            kernel: forward.kernel,
            stride: forward.stride,
            padding: forward.padding,
            output_padding: [0, 0],
            dilation: forward.dilation,
            groups: forward.groups,
            bias: false,
        };
        let [n, _, height, width] = self.plan.value(grad_output).shape;
        let sub_pixel = SubPixel::new(&conv, [height, width], [shape[2], shape[3]]);
        let (run, view) = (sub_pixel.conv.clone(), sub_pixel.view.clone());
        let [rows, columns] = sub_pixel.computed([height, width]);
        let kernel = self.plan.add_kernel(Kernel {
            name: format!("{} transposed", step.name),
            conv: run.clone(),
            source: KernelSource::Transposed(Box::new(Transposed { of: step.kernel, conv, sub_pixel })),
            bias: vec![0.0; run.out_channels],
        });
        self.plan.steps.push(Step::Transpose(kernel));
        let output = self.plan.add_value(name.clone(), [n, run.out_channels, rows, columns]);
        self.plan.steps.push(Step::Conv(Conv {
            name: name.clone(),
            conv: run,
            kernel,
            input: grad_output,
            residual: None,
            activation: None,
            output,
        }));
        let Some(view) = view else { return output };
        let gradient = self.plan.add_value(name, shape);
        self.plan.steps.push(Step::Rearrange { view, input: output, output: gradient });
        gradient
    }

    /// Steps that only networks have, not single layers.
    #[cfg(training)]
    fn training_step(&mut self, step: &Step, gradient: ValueId) -> Result<()> {
        match step {
            Step::Conv(conv) => {
                let gradient = self.before_activation(conv.activation, conv.output, gradient)?;
                self.conv(conv, gradient);
                if let Some(residual) = conv.residual {
                    self.accumulate(residual, gradient);
                }
            }
            Step::Binary(binary) if matches!(binary.op, BinaryOp::Add | BinaryOp::Mul) => {
                self.binary(binary, gradient)?
            }
            Step::Activation { activation, input, output } => {
                let of = if activation.only_bounds() { *output } else { *input };
                let gradient = self.activation(*activation, of, gradient);
                self.accumulate(*input, gradient);
            }
            Step::Pool(pool) => self.pool(pool.clone(), gradient),
            Step::GlobalPool { kind, input, output } => {
                let [_, _, height, width] = self.plan.value(*input).shape;
                let pool = Pool {
                    kind: *kind,
                    kernel: [height, width],
                    stride: [1, 1],
                    padding: [0; 4],
                    dilation: [1, 1],
                    input: *input,
                    output: *output,
                };
                self.pool(pool, gradient);
            }
            Step::Concat { inputs, .. } => self.concat(inputs, gradient),
            Step::Train(TrainStep::Normalise(norm)) => self.norm(norm, gradient)?,
            _ => return step.output().map_or(Ok(()), |output| Err(self.unsupported(output))),
        }
        Ok(())
    }

    #[cfg(training)]
    fn binary(&mut self, step: &Binary, grad_output: ValueId) -> Result<()> {
        let grad_output = self.before_activation(step.activation, step.output, grad_output)?;
        for (own, other) in [(step.a, step.b), (step.b, step.a)] {
            let mut gradient = grad_output;
            if step.op == BinaryOp::Mul {
                gradient = self.gradient_like(step.output);
                let (a, b, output) = (grad_output, other, gradient);
                self.plan.steps.push(Step::Binary(Binary { op: BinaryOp::Mul, a, b, activation: None, output }));
            }
            // What was repeated gets the gradients of all its repetitions.
            if self.plan.value(own).shape != self.plan.value(gradient).shape {
                let (input, output) = (gradient, self.gradient_like(own));
                self.plan.steps.push(Step::Train(TrainStep::Reduce { input, output }));
                gradient = output;
            }
            self.accumulate(own, gradient);
        }
        Ok(())
    }

    /// A value like another, for its gradient.
    #[cfg(training)]
    fn gradient_like(&mut self, value: ValueId) -> ValueId {
        let value = self.plan.value(value);
        let (name, shape) = (format!("gradient of {}", value.name), value.shape);
        self.plan.add_value(name, shape)
    }

    /// The gradient of what a step's result was before its activation.
    #[cfg(training)]
    fn before_activation(
        &mut self,
        activation: Option<Activation>,
        output: ValueId,
        grad_output: ValueId,
    ) -> Result<ValueId> {
        match activation {
            None => Ok(grad_output),
            Some(activation) if activation.only_bounds() => Ok(self.activation(activation, output, grad_output)),
            Some(_) => Err(self.unsupported(output)),
        }
    }

    #[cfg(training)]
    fn activation(&mut self, activation: Activation, of: ValueId, grad_output: ValueId) -> ValueId {
        let output = self.gradient_like(of);
        self.plan.steps.push(Step::Train(TrainStep::ActivationGradient { activation, of, grad_output, output }));
        output
    }

    #[cfg(training)]
    fn pool(&mut self, pool: Pool, grad_output: ValueId) {
        let (input, output) = (pool.input, self.gradient_like(pool.input));
        self.plan.steps.push(Step::Train(TrainStep::PoolGradient(PoolGradient { pool, grad_output, output })));
        self.accumulate(input, output);
    }

    /// Every input gets its own channels.
    #[cfg(training)]
    fn concat(&mut self, inputs: &[ValueId], grad_output: ValueId) {
        let mut first = 0;
        for &input in inputs {
            let shape = self.plan.value(input).shape;
            let slice = Slice { start: [0, first, 0, 0], step: [1; 4], count: shape };
            let view = View::slice(self.plan.value(grad_output).shape, &slice);
            let output = self.gradient_like(input);
            self.plan.steps.push(Step::Rearrange { view, input: grad_output, output });
            self.accumulate(input, output);
            first += shape[1];
        }
    }

    #[cfg(training)]
    fn norm(&mut self, norm: &Normalise, grad_output: ValueId) -> Result<()> {
        let grad_output = self.before_activation(norm.activation, norm.output, grad_output)?;
        if let Some(residual) = norm.residual {
            self.accumulate(residual, grad_output);
        }
        let Normalise { eps, input, statistics, affine, .. } = *norm;
        let sums = self.gradient_like(affine);
        let step = NormSums { eps, input, statistics, grad_output, output: sums };
        self.plan.steps.push(Step::Train(TrainStep::NormSums(step)));
        self.norms.push(NormGradients { affine, sums });
        let output = self.gradient_like(input);
        let step = NormGradient { eps, input, statistics, affine, sums, grad_output, output };
        self.plan.steps.push(Step::Train(TrainStep::NormGradient(step)));
        self.accumulate(input, output);
        Ok(())
    }

    /// Adds to what is known of a value's gradient, if anybody wants that.
    fn accumulate(&mut self, value: ValueId, gradient: ValueId) {
        if self.depends.as_ref().is_some_and(|depends| !depends[value.0]) {
            return;
        }
        let sum = match self.gradient_of[value.0] {
            None => gradient,
            Some(earlier) => {
                let (name, shape) = (self.plan.value(earlier).name.clone(), self.plan.value(earlier).shape);
                let output = self.plan.add_value(name, shape);
                self.plan.steps.push(Step::Binary(Binary {
                    op: BinaryOp::Add,
                    a: earlier,
                    b: gradient,
                    activation: None,
                    output,
                }));
                output
            }
        };
        self.gradient_of[value.0] = Some(sum);
    }
}
