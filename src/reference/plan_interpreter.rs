//! Interprets plans without any device: naive loops over the buffers that the plan assigns, every value rounded to f32 when it is
//! stored.
//!
//! A plan is right before any executor sees it: lowering, fusion, and buffer lifetimes. A buffer is filled with NaN before a value
//! is written, so that a value which is still wanted by then spoils the result. Kernels that are to be composed for every run do
//! not exist before their [`Step::Compose`]. It panics on plans that contradict themselves.

use std::collections::HashMap;

use super::Map;
use crate::doconv::{Composed, fold};
use crate::network::{self, AvgPool, Conv2d, MaxPool, Op, Shape};
use crate::plan::{
    Binary, BinaryOp, Conv, Factor, KernelId, KernelSource, LoadedPart, Memory, Mode, Plan, Pool, PoolKind, Rule, Step,
    TrainStep, Update, ValueId,
};
use crate::{Result, Tensor, reference};

/// Runs a training step, in as many runs as there are inputs, and gives the values that are asked for.
///
/// # Errors
/// Those of folding kernels.
pub fn interpret_training_step(plan: &Plan, runs: &[Vec<Tensor>], values: &[ValueId]) -> Result<Vec<Vec<f64>>> {
    let mut machine = Machine::new(plan, Mode::Kernel, 1)?;
    for inputs in runs {
        machine.replay(inputs)?;
    }
    Ok(values.iter().map(|&value| machine.read(value).data).collect())
}

/// Runs a plan on NCHW arrays of a batch and gives its outputs.
///
/// # Errors
/// Those of folding kernels.
pub fn interpret_plan(plan: &Plan, mode: Mode, batch: usize, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    Machine::new(plan, mode, batch)?.run(inputs)
}

struct Machine<'a> {
    plan: &'a Plan,
    batch: usize,
    memory: Memory,
    buffers: Vec<Vec<f32>>,
    kernels: Vec<Option<Vec<f32>>>,
    /// W and the effective D where they were loaded.
    factors: HashMap<(usize, LoadedPart), Vec<f32>>,
    biases: Vec<Vec<f32>>,
}

/// A layout with padding, as executors have: four channels together.
fn elements([n, c, h, w]: Shape) -> usize {
    n * c.div_ceil(4) * 4 * h * w
}

impl<'a> Machine<'a> {
    fn new(plan: &'a Plan, mode: Mode, batch: usize) -> Result<Self> {
        let memory = plan.memory(batch, elements);
        let states = plan.states().iter();
        let mut machine = Self {
            plan,
            batch,
            buffers: memory.sizes.iter().map(|&size| vec![f32::NAN; size]).collect(),
            memory,
            kernels: vec![None; plan.kernels().len()],
            factors: HashMap::new(),
            biases: plan.kernels().iter().map(|kernel| kernel.bias.clone()).collect(),
        };
        for state in states {
            let shape = plan.value(state.value).batched(batch);
            let zeros = vec![0.0; shape.iter().product()];
            let initial = state.initial.iter().map(|&value| f64::from(value)).collect();
            let data = if state.initial.is_empty() { zeros } else { initial };
            machine.write(state.value, Map { shape, data });
        }
        for (index, kernel) in plan.kernels().iter().enumerate() {
            // What is composed for every run must not lean on what loading made.
            if mode != Mode::Kernel || matches!(kernel.source, KernelSource::Plain(_)) {
                machine.compose(index)?;
            }
        }
        Ok(machine)
    }

    fn compose(&mut self, index: usize) -> Result<()> {
        let kernel = &self.plan.kernels()[index];
        self.kernels[index] = Some(match &kernel.source {
            KernelSource::Plain(values) => values.to_vec(),
            KernelSource::Composed(composed) => {
                fold(&kernel.conv, &self.composed(index, composed)).unwrap().into_data()
            }
            // Not before its step.
            KernelSource::Transposed(_) => return Ok(()),
        });
        Ok(())
    }

    /// W and D as they are now.
    fn composed(&self, kernel: usize, planned: &Composed) -> Composed {
        let mut composed = planned.clone();
        for (part, tensor) in [(LoadedPart::W, &mut composed.w), (LoadedPart::D, &mut composed.d)] {
            if let Some(loaded) = self.factors.get(&(kernel, part)) {
                tensor.data_mut().copy_from_slice(loaded);
            }
        }
        composed
    }

    fn run(mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.replay(inputs)?;
        let read = |&value: &ValueId| {
            let map = self.read(value);
            Tensor::new(map.shape, map.data.iter().map(|&value| value as f32).collect())
        };
        self.plan.outputs().iter().map(read).collect()
    }

    fn replay(&mut self, inputs: &[Tensor]) -> Result<()> {
        for (&value, tensor) in self.plan.inputs().iter().zip(inputs) {
            self.write(value, Map::from_tensor(tensor)?);
        }
        for step in self.plan.steps() {
            self.step(step)?;
        }
        Ok(())
    }

    fn read(&self, value: ValueId) -> Map {
        let shape = self.plan.value(value).batched(self.batch);
        let count = shape.iter().product();
        let buffer = &self.buffers[self.memory.buffer_of(value)][self.memory.offset_of(value)..];
        Map { shape, data: buffer[..count].iter().map(|&value| f64::from(value)).collect() }
    }

    /// Rounds to f32, as every executor stores values.
    fn write(&mut self, value: ValueId, map: Map) {
        let described = self.plan.value(value);
        assert_eq!(map.shape, described.batched(self.batch), "shape of {}", described.name);
        let buffer = &mut self.buffers[self.memory.buffer_of(value)][self.memory.offset_of(value)..];
        assert!(buffer.len() >= elements(map.shape), "the buffer of {} is too small", described.name);
        let is_in_arena = self.plan.arenas().iter().flatten().any(|&other| other == value);
        let own = if is_in_arena { elements(map.shape) } else { buffer.len() };
        buffer[..own].fill(f32::NAN);
        buffer.iter_mut().zip(map.data).for_each(|(element, value)| *element = value as f32);
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        if let Some(output) = step.output() {
            for input in step.inputs() {
                let shared = self.memory.buffer_of(input) == self.memory.buffer_of(output);
                assert!(!shared, "{step:?} reads and writes one buffer");
            }
        }
        match step {
            Step::Compose(kernel) => {
                self.compose(self.kernel_index(*kernel))?;
            }
            Step::Transpose(kernel) => {
                let index = self.kernel_index(*kernel);
                let KernelSource::Transposed(transposed) = &self.plan.kernels()[index].source else {
                    panic!("{step:?} of a kernel that is not transposed")
                };
                let of = self.kernels[self.kernel_index(transposed.of)].as_ref().expect("made before");
                self.kernels[index] = Some(transposed.sub_pixel.kernel(&transposed.conv, of));
            }
            Step::KernelMap { kernel, output } => {
                let values = self.kernels[self.kernel_index(*kernel)].as_ref().expect("made before");
                let data = values.iter().map(|&value| f64::from(value)).collect();
                self.write(*output, Map { shape: self.plan.value(*output).shape, data });
            }
            Step::KernelGradient(step) => {
                let (input, gradient) = (self.read(step.input), self.read(step.grad_output));
                let data = reference::conv2d_kernel_gradient(&step.conv, &input, &gradient);
                self.write(step.output, Map { shape: step.conv.kernel_shape(), data });
            }
            Step::BiasGradient { grad_output, output } => {
                let data = reference::bias_gradient(&self.read(*grad_output));
                self.write(*output, Map { shape: [1, data.len(), 1, 1], data });
            }
            Step::ComposeGradient(step) => {
                let kernel = self.plan.kernel(step.kernel);
                let KernelSource::Composed(composed) = &kernel.source else { panic!("{step:?} of a plain kernel") };
                let composed = self.composed(self.kernel_index(step.kernel), composed);
                let [w, d] = [&composed.w, &composed.d]
                    .map(|tensor| tensor.data().iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
                let (attributes, gradient) = (composed.attributes, self.read(step.grad_kernel));
                let (s, pairing) = (attributes.d_mul, attributes.pairing);
                let (grad_w, grad_d) = reference::fold_gradient(&kernel.conv, s, pairing, &w, &d, &gradient.data);
                let data = if step.factor == Factor::W { grad_w } else { grad_d };
                self.write(step.output, Map { shape: self.plan.value(step.output).shape, data });
            }
            Step::PadGradient(step) => {
                let gradient = self.read(step.grad_output);
                let [n, c, height, width] = self.plan.value(step.output).batched(self.batch);
                let mut map = Map::from_fn([n, c, height, width], |_, _, _, _| 0.0);
                // Element by element of the padded map, to where it came from.
                for index in 0..gradient.data.len() {
                    let [_, _, rows, columns] = gradient.shape;
                    let (plane, y, x) = (index / (rows * columns), index / columns % rows, index % columns);
                    let place = |at: usize, axis: usize, len: usize| {
                        step.mode.source(at as isize - step.before[axis] as isize, len)
                    };
                    if let (Some(y), Some(x)) = (place(y, 0, height), place(x, 1, width)) {
                        map.data[(plane * height + y) * width + x] += gradient.data[index];
                    }
                }
                self.write(step.output, map);
            }
            Step::Conv(conv) => {
                let map = self.conv(conv);
                self.write(conv.output, map);
            }
            Step::Pool(pool) => {
                let map = self.pool(pool);
                self.write(pool.output, map);
            }
            Step::GlobalPool { kind, input, output } => {
                let input = self.read(*input);
                let map = match kind {
                    PoolKind::Max => reference::global_max_pool(&input),
                    PoolKind::Mean { .. } => reference::global_avg_pool(&input),
                };
                self.write(*output, map);
            }
            Step::Binary(binary) => {
                let map = self.binary(binary);
                self.write(binary.output, map);
            }
            Step::Activation { activation, input, output } => {
                let map = reference::activation(*activation, &self.read(*input));
                self.write(*output, map);
            }
            Step::Concat { inputs, output } => {
                let inputs: Vec<Map> = inputs.iter().map(|&input| self.read(input)).collect();
                self.write(*output, reference::concat(&inputs.iter().collect::<Vec<_>>()));
            }
            Step::Constant { constant, output } => {
                let constant = self.plan.constant(*constant);
                let data = constant.values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
                // In a plan for a fixed batch it is repeated for every element of that, too.
                let shape = self.plan.value(*output).batched(self.batch);
                let repeats = elements(shape) / data.len();
                self.write(*output, Map { shape, data: data.repeat(repeats) });
            }
            Step::Rearrange { view, input, output } => {
                let input = self.read(*input);
                let shape = self.plan.value(*output).batched(self.batch);
                let (items, all) = (shape[0] / self.batch, input.data.len() / self.batch);
                let map = Map::from_fn(shape, |n, c, y, x| {
                    let source = view.source([n % items, c, y, x]);
                    assert!(source < all, "{view:?} leaves its element of the batch");
                    input.data[n / items * all + source]
                });
                self.write(*output, map);
            }
            Step::Pad(pad) => {
                let input = self.read(pad.input);
                let mut from = input.shape;
                let mut to = self.plan.value(pad.output).batched(self.batch);
                (from[0], to[0]) = (from[0] / self.batch, to[0] / self.batch);
                let after = [0, 1, 2, 3].map(|axis| to[axis] - from[axis] - pad.before[axis]);
                let pad_op = network::Pad { before: pad.before, after, mode: pad.mode, value: pad.value };
                self.write(pad.output, reference::pad(&pad_op, self.batch, &input));
            }
            Step::Resize { rows, columns, input, output } => {
                let input = self.read(*input);
                let shape = self.plan.value(*output).batched(self.batch);
                let taps = |constant: &crate::plan::Constant, at: usize| -> Vec<(usize, f64)> {
                    let [_, two, size, taps] = constant.shape;
                    assert_eq!((two, constant.values.len()), (2, 2 * size * taps));
                    let of = |half: usize, tap: usize| constant.values[half * size * taps + at * taps + tap];
                    (0..taps).map(|tap| (of(0, tap) as usize, f64::from(of(1, tap)))).collect()
                };
                let (rows, columns) = (self.plan.constant(*rows), self.plan.constant(*columns));
                let map = Map::from_fn(shape, |n, c, y, x| {
                    let of_row = |row| taps(columns, x).iter().map(|&(at, w)| w * input.at(n, c, row, at)).sum::<f64>();
                    taps(rows, y).iter().map(|&(row, weight)| weight * of_row(row)).sum()
                });
                self.write(*output, map);
            }
            Step::Lrn { lrn, input, output } => {
                let map = reference::lrn(lrn, &self.read(*input));
                self.write(*output, map);
            }
            Step::Softmax { logarithm, input, output } => {
                let input = self.read(*input);
                let map = if *logarithm { reference::log_softmax(&input) } else { reference::softmax(&input) };
                self.write(*output, map);
            }
            Step::Train(step) => self.training_step(step),
        }
        Ok(())
    }

    fn training_step(&mut self, step: &TrainStep) {
        match step {
            TrainStep::Load(load) => {
                let values: Vec<f32> = self.read(load.input).data.iter().map(|&value| value as f32).collect();
                let index = self.kernel_index(load.kernel);
                match load.part {
                    LoadedPart::Kernel => self.kernels[index] = Some(values),
                    LoadedPart::Bias => self.biases[index] = values,
                    part => {
                        let kernel = self.plan.kernel(load.kernel);
                        let KernelSource::Composed(composed) = &kernel.source else { panic!("{load:?} of no kernel") };
                        let residual: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
                        let effective = match part {
                            LoadedPart::D => {
                                reference::effective_d(&kernel.conv, composed.attributes.d_mul, &residual, None)
                            }
                            _ => residual,
                        };
                        let effective = effective.iter().map(|&value| value as f32).collect();
                        self.factors.insert((index, part), effective);
                    }
                }
            }
            TrainStep::BatchStatistics { input, output } => {
                let data = reference::batch_statistics(&self.read(*input)).concat();
                self.write(*output, Map { shape: [2, data.len() / 2, 1, 1], data });
            }
            TrainStep::Normalise(step) => {
                let (input, eps) = (self.read(step.input), f64::from(step.eps));
                let [statistics, affine] = [step.statistics, step.affine].map(|value| self.read(value).data);
                let (mean, variance) = statistics.split_at(statistics.len() / 2);
                let (bias, weight) = affine.split_at(affine.len() / 2);
                let mut map = reference::batch_norm(&input, weight, bias, mean, variance, eps);
                if let Some(residual) = step.residual {
                    map = map.zip(&self.read(residual), |a, b| a + b);
                }
                if let Some(activation) = step.activation {
                    map = reference::activation(activation, &map);
                }
                self.write(step.output, map);
            }
            TrainStep::ActivationGradient { activation, of, grad_output, output } => {
                let map = reference::activation_gradient(*activation, &self.read(*of), &self.read(*grad_output));
                self.write(*output, map);
            }
            TrainStep::NormSums(step) => {
                let (input, gradient) = (self.read(step.input), self.read(step.grad_output));
                let weight = vec![1.0; input.shape[1]];
                let gradients = reference::batch_norm_gradient(&input, &weight, f64::from(step.eps), &gradient);
                let data = [gradients.bias, gradients.weight].concat();
                self.write(step.output, Map { shape: [2, data.len() / 2, 1, 1], data });
            }
            TrainStep::NormGradient(step) => {
                let (input, gradient) = (self.read(step.input), self.read(step.grad_output));
                let affine = self.read(step.affine).data;
                let weight = &affine[affine.len() / 2..];
                let gradients = reference::batch_norm_gradient(&input, weight, f64::from(step.eps), &gradient);
                self.write(step.output, gradients.input);
            }
            TrainStep::PoolGradient(step) => {
                let (pool, input, gradient) = (&step.pool, self.read(step.pool.input), self.read(step.grad_output));
                let Pool { kernel, stride, padding, dilation, .. } = *pool;
                let map = match pool.kind {
                    PoolKind::Max => {
                        let pool = MaxPool { kernel, stride, padding, dilation, ceil_mode: false };
                        reference::max_pool_gradient(&pool, &input, &gradient)
                    }
                    PoolKind::Mean { count_include_pad } => {
                        let ceil_mode = false;
                        let pool = AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad };
                        reference::avg_pool_gradient(&pool, input.shape, &gradient)
                    }
                };
                self.write(step.output, map);
            }
            TrainStep::CrossEntropy { logits, targets, output } => {
                let (logits, targets) = (self.read(*logits), self.read(*targets));
                let largest = |item: &[f64]| (0..item.len()).rev().max_by(|&a, &b| item[a].total_cmp(&item[b]));
                let classes = logits.shape[1];
                let items = logits.data.chunks_exact(classes).zip(targets.data.chunks_exact(classes));
                let losses = reference::cross_entropy(&logits, &targets);
                let of_item =
                    |((logits, targets), loss)| [loss, if largest(logits) == largest(targets) { 1.0 } else { 0.0 }];
                let data = items.zip(losses).flat_map(of_item).collect();
                self.write(*output, Map { shape: [logits.shape[0], 2, 1, 1], data });
            }
            TrainStep::CrossEntropyGradient { logits, targets, output } => {
                let map = reference::cross_entropy_gradient(&self.read(*logits), &self.read(*targets));
                self.write(*output, map);
            }
            TrainStep::Blend(step) => {
                let (input, mut state) = (self.read(step.input), self.read(step.state));
                let item = input.data.len() / input.shape[0];
                for (index, (state, input)) in state.data.iter_mut().zip(input.data).enumerate() {
                    *state = f64::from(step.keep) * *state + f64::from(step.add[index / item]) * input;
                }
                self.write(step.state, state);
            }
            TrainStep::Reduce { input, output } => {
                let (input, shape) = (self.read(*input), self.plan.value(*output).shape);
                self.write(*output, reference::reduce(&input, shape));
            }
            TrainStep::SquareSum { inputs, output } => {
                let squares = inputs.iter().flat_map(|&input| self.read(input).data).map(|value| value * value).sum();
                self.write(*output, Map { shape: [1; 4], data: vec![squares] });
            }
            TrainStep::Accumulate(step) => {
                let by = self.read(step.hyperparameters).data;
                let lists = [step.gradients, step.sums].map(|arena| self.plan.arena(arena).to_vec());
                for (&gradient, &sum) in lists[0].iter().zip(&lists[1]) {
                    let (gradient, old) = (self.read(gradient), self.read(sum));
                    self.write(sum, old.zip(&gradient, |old, new| by[8] * old + by[9] * new));
                }
            }
            TrainStep::Update(step) => self.update(step),
        }
    }

    /// Tensor by tensor.
    fn update(&mut self, step: &Update) {
        let hyper = self.read(step.hyperparameters).data;
        if hyper[10] == 0.0 {
            return;
        }
        let norm = step.squares.map(|squares| self.read(squares).data[0].sqrt());
        let scale = norm.map_or(1.0, |norm| (hyper[7] / (norm + 1e-6)).min(1.0));
        let list = |arena| self.plan.arena(arena).to_vec();
        let (parameters, gradients) = (list(step.parameters), list(step.gradients));
        let moments: Vec<Vec<ValueId>> = step.moments.iter().map(|&arena| list(arena)).collect();
        for (index, (&parameter, &gradient)) in parameters.iter().zip(&gradients).enumerate() {
            let (mut p, g) = (self.read(parameter), self.read(gradient));
            let mut m: Vec<Map> = moments.iter().map(|moments| self.read(moments[index])).collect();
            let decay = if index < step.decayed { hyper[2] } else { 0.0 };
            let (rate, momentum) = (hyper[0], hyper[1]);
            for at in 0..p.data.len() {
                let (parameter, gradient) = (p.data[at], scale * g.data[at]);
                match step.rule {
                    Rule::Sgd { nesterov } => {
                        let gradient = gradient + decay * parameter;
                        let moment = momentum * m[0].data[at] + gradient;
                        m[0].data[at] = moment;
                        p.data[at] -= rate * if nesterov { gradient + momentum * moment } else { moment };
                    }
                    Rule::AdamW => {
                        let first = momentum * m[0].data[at] + (1.0 - momentum) * gradient;
                        let second = hyper[3] * m[1].data[at] + (1.0 - hyper[3]) * gradient * gradient;
                        (m[0].data[at], m[1].data[at]) = (first, second);
                        p.data[at] -=
                            rate * decay * parameter + hyper[5] * first / (second.sqrt() * hyper[6] + hyper[4]);
                    }
                }
            }
            self.write(parameter, p);
            for (moments, m) in moments.iter().zip(m) {
                self.write(moments[index], m);
            }
        }
    }

    fn kernel_index(&self, id: KernelId) -> usize {
        let kernel = self.plan.kernel(id);
        self.plan.kernels().iter().position(|other| std::ptr::eq(other, kernel)).expect("the plan has the kernel")
    }

    fn conv(&self, step: &Conv) -> Map {
        let values = self.kernels[self.kernel_index(step.kernel)].as_ref();
        let values = values.unwrap_or_else(|| panic!("{} runs before its kernel is composed", step.name));
        let bias = &self.biases[self.kernel_index(step.kernel)];
        let shape = self.plan.value(step.output).batched(self.batch);
        let mut map = naive_conv(&step.conv, &self.read(step.input), values, bias, shape);
        if let Some(residual) = step.residual {
            let residual = self.read(residual);
            assert_eq!(residual.shape, map.shape, "residual of {}", step.name);
            map = map.zip(&residual, |a, b| f64::from(a as f32 + b as f32));
        }
        step.activation.map_or(map.clone(), |activation| reference::activation(activation, &map))
    }

    fn pool(&self, step: &Pool) -> Map {
        let Pool { kernel, stride, padding, dilation, .. } = *step;
        let (input, wanted) = (self.read(step.input), self.plan.value(step.output).batched(self.batch));
        let pooled = |ceil_mode: bool| match step.kind {
            PoolKind::Max => reference::max_pool(&MaxPool { kernel, stride, padding, dilation, ceil_mode }, &input),
            PoolKind::Mean { count_include_pad } => {
                let pool = AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad };
                reference::avg_pool(&pool, &input)
            }
        };
        // The plan only keeps the size that results from it.
        let map = pooled(false);
        if map.shape == wanted { map } else { pooled(true) }
    }

    fn binary(&self, step: &Binary) -> Map {
        let (a, b) = (self.read(step.a), self.read(step.b));
        let op = match step.op {
            BinaryOp::Add => Op::Add,
            BinaryOp::Sub => Op::Sub,
            BinaryOp::Mul => Op::Mul,
            BinaryOp::Div => Op::Div,
            BinaryOp::Prelu => Op::Prelu,
        };
        let map = reference::binary(&op, self.batch, &a, &b);
        step.activation.map_or(map.clone(), |activation| reference::activation(activation, &map))
    }
}

/// Single precision all through, one product after the other: what tolerances must at least allow.
fn naive_conv(conv: &Conv2d, input: &Map, kernel: &[f32], bias: &[f32], shape: Shape) -> Map {
    let (cpg, q) = (conv.channels_per_group(), conv.outputs_per_group());
    let [rows, columns] = conv.kernel;
    Map::from_fn(shape, |n, o, y, x| {
        let mut sum = 0.0f32;
        for j in 0..cpg {
            for tap in 0..rows * columns {
                let iy = (y * conv.stride[0] + tap / columns * conv.dilation[0]) as isize - conv.padding[0] as isize;
                let ix = (x * conv.stride[1] + tap % columns * conv.dilation[1]) as isize - conv.padding[1] as isize;
                let value = input.get(n, o / q * cpg + j, iy, ix).unwrap_or(0.0);
                sum += kernel[(o * cpg + j) * rows * columns + tap] * value as f32;
            }
        }
        f64::from(sum + bias[o])
    })
}
