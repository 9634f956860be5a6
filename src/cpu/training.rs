//! Steps that only training has: the twins of the shaders with the same names.
//!
//! Sums over batch and pixels are made of the sums of short runs, in an order that does not depend on the number of threads.

use std::ops::Range;
use std::sync::Arc;

use super::aligned::Aligned;
use super::geometry::Geometry;
use super::parallel::{self, SharedMut};
use super::{Executor, elements, gradient, layout};
use crate::doconv::{self, add_identity};
use crate::network::{Activation, Shape};
use crate::plan::{
    Accumulate, ArenaId, Factor, Hyperparameters, KernelSource, LoadedPart, NormGradient, NormSums, Normalise,
    PoolGradient, PoolKind, Rule, Step, TrainStep, Update, ValueId,
};
use crate::{Error, Result};

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

impl Executor {
    /// What a value holds after a run, NCHW. Only states and what lies in arenas is there still.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn read(&mut self, id: ValueId) -> Result<Vec<f32>> {
        self.make_room(1)?;
        let [_, channels, height, width] = self.shape(id, 1);
        let value = self.value(id, 1);
        let mut result = vec![0.0; value.len()];
        layout::transpose(value, &mut result, height * width, channels);
        Ok(result)
    }

    /// Sets a state, NCHW.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn write(&mut self, id: ValueId, values: &[f32]) -> Result<()> {
        self.make_room(1)?;
        self.fill(id, 1, values);
        Ok(())
    }

    /// Parameters become kernels, before any step runs.
    pub(super) fn load_parameters(&mut self) -> Result<()> {
        for index in 0..self.plan.steps.len() {
            let Step::Train(TrainStep::Load(load)) = &self.plan.steps[index] else { continue };
            let load = load.clone();
            let values = self.read(load.input)?;
            let keeps_values = self.plan.reads_weights(load.kernel);
            let kernel = &mut self.plan.kernels[load.kernel.0];
            let prepared = &mut self.kernels[load.kernel.0];
            match (load.part, &mut kernel.source) {
                (LoadedPart::Bias, _) => prepared.set_bias(&values),
                (LoadedPart::Kernel, KernelSource::Plain(own)) => {
                    prepared.set(&kernel.conv, &values);
                    if keeps_values {
                        *own = Arc::new(values);
                    }
                }
                (LoadedPart::W, KernelSource::Composed(composed)) => {
                    composed.w.data_mut().copy_from_slice(&values);
                }
                (LoadedPart::D, KernelSource::Composed(composed)) => {
                    composed.d.data_mut().copy_from_slice(&values);
                    add_identity(kernel.conv.taps(), composed.attributes.d_mul, composed.d.data_mut());
                }
                _ => return Err(Error::Unsupported(format!("{}: a kernel without that part", kernel.name))),
            }
        }
        Ok(())
    }

    /// Steps of the backward pass, and those that read a layer.
    pub(super) fn backward(&self, step: &Step, batch: usize, output: &mut [f32]) -> Result<()> {
        let shape = |id| self.shape(id, batch);
        let value = |id| self.value(id, batch);
        match step {
            Step::KernelMap { kernel, output: id } => {
                let [_, channels, height, width] = shape(*id);
                let values = self.kernels[kernel.0].values(&self.plan.kernel(*kernel).conv);
                layout::transpose(&values, output, channels, height * width);
            }
            Step::KernelGradient(step) => {
                let geometry = Geometry::of_conv(&step.conv, shape(step.input), shape(step.grad_output));
                let (input, grad_output) = (value(step.input), value(step.grad_output));
                gradient::KernelGradient { conv: &step.conv, geometry, input, grad_output }.run(output);
            }
            Step::BiasGradient { grad_output, .. } => {
                gradient::bias(shape(*grad_output)[1], value(*grad_output), output);
            }
            Step::ComposeGradient(step) => {
                let kernel = self.plan.kernel(step.kernel);
                let KernelSource::Composed(composed) = &kernel.source else {
                    return Err(Error::Unsupported(format!("{}: a plain kernel has no W and D", kernel.name)));
                };
                let [_, channels, height, width] = shape(step.grad_kernel);
                let mut grad_kernel = vec![0.0; value(step.grad_kernel).len()];
                layout::transpose(value(step.grad_kernel), &mut grad_kernel, height * width, channels);
                let values = match step.factor {
                    Factor::W => doconv::w_gradient(&kernel.conv, composed, &grad_kernel),
                    Factor::D => doconv::d_gradient(&kernel.conv, composed, &grad_kernel),
                };
                let [_, channels, height, width] = shape(step.output);
                layout::transpose(&values, output, channels, height * width);
            }
            Step::PadGradient(step) => {
                gradient::pad(step, shape(step.grad_output), value(step.grad_output), shape(step.output), output);
            }
            Step::Train(step) => self.training_step(step, batch, output),
            _ => return Err(Error::Unsupported("not a step of the backward pass".into())),
        }
        Ok(())
    }

    fn training_step(&self, step: &TrainStep, batch: usize, output: &mut [f32]) {
        let shape = |id| self.shape(id, batch);
        let value = |id| self.value(id, batch);
        match step {
            TrainStep::Load(_) | TrainStep::Accumulate(_) | TrainStep::Update(_) => {}
            TrainStep::BatchStatistics { input, .. } => statistics(shape(*input)[1], value(*input), output),
            TrainStep::Normalise(step) => self.normalise(step, batch, output),
            TrainStep::ActivationGradient { activation, of, grad_output, .. } => {
                activation_gradient(*activation, value(*of), value(*grad_output), output);
            }
            TrainStep::NormSums(step) => self.norm_sums(step, batch, output),
            TrainStep::NormGradient(step) => self.norm_gradient(step, batch, output),
            TrainStep::PoolGradient(step) => {
                let (from, to) = (shape(step.pool.input), shape(step.pool.output));
                pool_gradient(step, from, to, value(step.pool.input), value(step.grad_output), output);
            }
            TrainStep::CrossEntropy { logits, targets, .. } => {
                let classes = shape(*logits)[1];
                cross_entropy(classes, value(*logits), value(*targets), output);
            }
            TrainStep::CrossEntropyGradient { logits, targets, .. } => {
                let classes = shape(*logits)[1];
                cross_entropy_gradient(classes, value(*logits), value(*targets), output);
            }
            TrainStep::Blend(step) => {
                let items = shape(step.input)[0];
                let item = output.len() / items;
                for (index, (state, &taken)) in output.iter_mut().zip(value(step.input)).enumerate() {
                    *state = step.keep * *state + step.add[index / item] * taken;
                }
            }
            TrainStep::Reduce { input, output: id } => reduce(value(*input), shape(*input), shape(*id), output),
            TrainStep::SquareSum { inputs, .. } => {
                let sum = |&input: &ValueId| value(input).iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
                output[0] = inputs.iter().map(sum).sum::<f64>() as f32;
            }
        }
    }

    fn normalise(&self, step: &Normalise, batch: usize, output: &mut [f32]) {
        let channels = self.shape(step.input, batch)[1];
        let (input, residual) = (self.value(step.input, batch), step.residual.map(|id| self.value(id, batch)));
        let norm = Norm::new(self.value(step.statistics, batch), step.eps);
        let (bias, weight) = self.value(step.affine, batch).split_at(channels);
        let scale: Vec<f32> = weight.iter().zip(&norm.scale).map(|(weight, scale)| weight * scale).collect();
        // Of one length for all to see, so that loops over channels are vectors.
        let [mean, scale, bias] = [&norm.mean, &scale, bias].map(|list| &list[..channels]);
        for_each_pixels(output, channels, |range, output| {
            for (output, input) in output.chunks_exact_mut(channels).zip(input[range.clone()].chunks_exact(channels)) {
                for c in 0..channels {
                    output[c] = (input[c] - mean[c]) * scale[c] + bias[c];
                }
            }
            if let Some(residual) = residual {
                output.iter_mut().zip(&residual[range]).for_each(|(value, residual)| *value += residual);
            }
            if let Some(activation) = step.activation {
                super::activation::apply(activation, output);
            }
        });
    }

    fn norm_sums(&self, step: &NormSums, batch: usize, output: &mut [f32]) {
        let channels = self.shape(step.input, batch)[1];
        let (input, gradient) = (self.value(step.input, batch), self.value(step.grad_output, batch));
        let norm = Norm::new(self.value(step.statistics, batch), step.eps);
        let mean = &norm.mean[..channels];
        let sums = sum_pixels(input.len() / channels, 2 * channels, |pixel, sums| {
            let (input, gradient) = (&input[pixel * channels..][..channels], &gradient[pixel * channels..][..channels]);
            let (plain, normalised) = sums.split_at_mut(channels);
            let normalised = &mut normalised[..channels];
            for c in 0..channels {
                plain[c] += gradient[c];
                normalised[c] += gradient[c] * (input[c] - mean[c]);
            }
        });
        for (c, output) in output.iter_mut().enumerate() {
            let scale = if c < channels { 1.0 } else { f64::from(norm.scale[c - channels]) };
            *output = (sums[c] * scale) as f32;
        }
    }

    fn norm_gradient(&self, step: &NormGradient, batch: usize, output: &mut [f32]) {
        let channels = self.shape(step.input, batch)[1];
        let (input, gradient) = (self.value(step.input, batch), self.value(step.grad_output, batch));
        let norm = Norm::new(self.value(step.statistics, batch), step.eps);
        let weight = &self.value(step.affine, batch)[channels..];
        let count = (input.len() / channels) as f32;
        let (plain, normalised) = self.value(step.sums, batch).split_at(channels);
        let of_channel =
            |c: usize| [norm.scale[c] * weight[c], plain[c] / count, norm.scale[c] * normalised[c] / count];
        let factors: Vec<[f32; 3]> = (0..channels).map(of_channel).collect();
        let [scale, mean, slope] = [0, 1, 2].map(|at| factors.iter().map(|factors| factors[at]).collect::<Vec<f32>>());
        let [scale, mean, slope, centre] = [&scale, &mean, &slope, &norm.mean].map(|list| &list[..channels]);
        for_each_pixels(output, channels, |range, output| {
            let inputs = input[range.clone()].chunks_exact(channels).zip(gradient[range].chunks_exact(channels));
            for (output, (input, gradient)) in output.chunks_exact_mut(channels).zip(inputs) {
                for c in 0..channels {
                    output[c] = scale[c] * (gradient[c] - mean[c] - (input[c] - centre[c]) * slope[c]);
                }
            }
        });
    }

    /// Gradients of several runs, added up.
    pub(super) fn accumulate(&mut self, step: &Accumulate) {
        let Hyperparameters { kept, share, .. } = Hyperparameters::of(self.value(step.hyperparameters, 1));
        let [gradients, mut sums] = [step.gradients, step.sums].map(|arena| self.take_arena(arena));
        parallel::for_each_chunk(&mut sums, CHUNK, |index, sums| {
            let gradients = &gradients[index * CHUNK..];
            // Not a product: what is no longer wanted may be NaN.
            let remains = |sum: f32| if kept == 0.0 { 0.0 } else { sum };
            sums.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum = remains(*sum) + share * gradient);
        });
        self.put_arena(step.gradients, gradients);
        self.put_arena(step.sums, sums);
    }

    /// The optimiser's step.
    pub(super) fn update(&mut self, step: &Update) {
        let by = Hyperparameters::of(self.value(step.hyperparameters, 1));
        if by.takes_step == 0.0 {
            return;
        }
        let norm = step.squares.map(|squares| self.value(squares, 1)[0].sqrt());
        let scale = norm.map_or(1.0, |norm| (by.largest_norm / (norm + 1e-6)).min(1.0));
        let memory = self.buffers.memory.as_ref().expect("`run` makes the buffers first");
        let decayed = match self.plan.arena(step.parameters).get(step.decayed) {
            Some(&first_other) => memory.offset_of(first_other),
            None => usize::MAX,
        };
        let [mut p, g] = [step.parameters, step.gradients].map(|arena| self.take_arena(arena));
        let mut m: Vec<_> = step.moments.iter().map(|&arena| self.take_arena(arena)).collect();
        let following = Following { by, decayed, scale, gradients: &g };
        match (step.rule, &mut m[..]) {
            (Rule::Sgd { nesterov }, [m]) => following.sgd(nesterov, &mut p, m),
            (Rule::AdamW, [m, v]) => following.adam_w(&mut p, m, v),
            _ => unreachable!("a rule has its number of moments"),
        }
        self.put_arena(step.parameters, p);
        self.put_arena(step.gradients, g);
        step.moments.iter().zip(m).for_each(|(&arena, buffer)| self.put_arena(arena, buffer));
    }

    fn take_arena(&mut self, arena: ArenaId) -> Aligned {
        let at = self.buffer_of(self.plan.arena(arena)[0]);
        std::mem::take(&mut self.buffers.buffers[at])
    }

    fn put_arena(&mut self, arena: ArenaId, buffer: Aligned) {
        let at = self.buffer_of(self.plan.arena(arena)[0]);
        self.buffers.buffers[at] = buffer;
    }
}

/// What a batch norm subtracts, and by what it multiplies before its weight.
struct Norm {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Norm {
    fn new(statistics: &[f32], eps: f32) -> Self {
        let (mean, variance) = statistics.split_at(statistics.len() / 2);
        let scale = variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
        Self { mean: mean.to_vec(), scale }
    }
}

/// Whole pixels in parallel, with where they lie in the map.
fn for_each_pixels(output: &mut [f32], channels: usize, task: impl Fn(Range<usize>, &mut [f32]) + Send + Sync) {
    let chunk = (CHUNK / channels).max(1) * channels;
    parallel::for_each_chunk(output, chunk, |index, output| {
        task(index * chunk..index * chunk + output.len(), output);
    });
}

/// Sums of `width` numbers over pixels.
fn sum_pixels(pixels: usize, width: usize, add: impl Fn(usize, &mut [f32]) + Send + Sync) -> Vec<f64> {
    /// Pixels whose sum loses little.
    const RUN: usize = 128;
    /// Pixels of a task.
    const TASK: usize = 16 * RUN;
    let mut partial = vec![0.0; pixels.div_ceil(TASK) * width];
    parallel::for_each_chunk(&mut partial, width, |task, sums| {
        let mut short = vec![0.0; width];
        let end = pixels.min((task + 1) * TASK);
        for start in (task * TASK..end).step_by(RUN) {
            short.fill(0.0);
            (start..end.min(start + RUN)).for_each(|pixel| add(pixel, &mut short));
            sums.iter_mut().zip(&short).for_each(|(sum, short)| *sum += short);
        }
    });
    let mut sums = vec![0.0; width];
    for partial in partial.chunks_exact(width) {
        sums.iter_mut().zip(partial).for_each(|(sum, &partial)| *sum += f64::from(partial));
    }
    sums
}

/// Means, then squared distances from them.
fn statistics(channels: usize, input: &[f32], output: &mut [f32]) {
    let pixels = input.len() / channels;
    let pixel = |at: usize| &input[at * channels..][..channels];
    let (means, variances) = output.split_at_mut(channels);
    let sums = sum_pixels(pixels, channels, |at, sums| {
        sums.iter_mut().zip(pixel(at)).for_each(|(sum, value)| *sum += value);
    });
    means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / pixels as f64) as f32);
    let means = &*means;
    let sums = sum_pixels(pixels, channels, |at, sums| {
        for ((sum, value), mean) in sums.iter_mut().zip(pixel(at)).zip(means) {
            let distance = value - mean;
            *sum += distance * distance;
        }
    });
    variances.iter_mut().zip(sums).for_each(|(variance, sum)| *variance = (sum / pixels as f64) as f32);
}

fn activation_gradient(activation: Activation, of: &[f32], grad_output: &[f32], output: &mut [f32]) {
    let inside = |x: f32, lower: f32, upper: f32| if x > lower && x < upper { 1.0 } else { 0.0 };
    // One loop per activation, so that none is chosen inside a loop.
    let mut multiply = |slope: &dyn Slopes| slope.multiply(of, grad_output, output);
    match activation {
        Activation::Relu | Activation::Relu6 | Activation::Clip { .. } => {
            let [lower, upper] = activation.bounds().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
            multiply(&|x| inside(x, lower, upper));
        }
        Activation::LeakyRelu { slope } => multiply(&|x: f32| if x > 0.0 { 1.0 } else { slope }),
        Activation::HardSigmoid => multiply(&|x| inside(x / 6.0 + 0.5, 0.0, 1.0) / 6.0),
        Activation::Ramp { slope, offset } => multiply(&|x| inside(x * slope + offset, 0.0, 1.0) * slope),
        Activation::HardSwish => multiply(&|x: f32| match x {
            x if x <= -3.0 => 0.0,
            x if x < 3.0 => x / 3.0 + 0.5,
            _ => 1.0,
        }),
        Activation::Sigmoid => multiply(&|x| logistic(x) * (1.0 - logistic(x))),
        Activation::Silu => multiply(&|x| logistic(x) * (1.0 + x * (1.0 - logistic(x)))),
        Activation::Tanh => multiply(&|x: f32| 1.0 - x.tanh() * x.tanh()),
    }
}

/// The slope of an activation, for whole maps.
trait Slopes {
    /// `output = slope(of) · grad_output`.
    fn multiply(&self, of: &[f32], grad_output: &[f32], output: &mut [f32]);
}

impl<F: Fn(f32) -> f32 + Sync> Slopes for F {
    fn multiply(&self, of: &[f32], grad_output: &[f32], output: &mut [f32]) {
        parallel::for_each_chunk(output, CHUNK, |index, output| {
            let range = index * CHUNK..index * CHUNK + output.len();
            let pairs = of[range.clone()].iter().zip(&grad_output[range]);
            output.iter_mut().zip(pairs).for_each(|(output, (&x, gradient))| *output = self(x) * gradient);
        });
    }
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// One image per task.
fn pool_gradient(step: &PoolGradient, from: Shape, to: Shape, input: &[f32], grad_output: &[f32], output: &mut [f32]) {
    let geometry = Geometry::of_pool(&step.pool, from, to);
    let channels = from[1];
    let (image, out_image) = (elements(from) / from[0], elements(to) / to[0]);
    parallel::for_each_chunk(output, image, |index, output| {
        output.fill(0.0);
        let input = &input[index * image..][..image];
        let gradients = grad_output[index * out_image..][..out_image].chunks_exact(channels);
        for (place, gradient) in gradients.enumerate() {
            let (y, x) = (place / geometry.output[1], place % geometry.output[1]);
            match step.pool.kind {
                PoolKind::Max => max_gradient(&geometry, channels, [y, x], input, gradient, output),
                PoolKind::Mean { count_include_pad } => {
                    let share = 1.0 / super::pool::count(&geometry, count_include_pad, y, x) as f32;
                    for at in super::pool::places(&geometry, y, x) {
                        let sums = &mut output[at * channels..][..channels];
                        sums.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient * share);
                    }
                }
            }
        }
    });
}

fn max_gradient(
    geometry: &Geometry,
    channels: usize,
    [y, x]: [usize; 2],
    input: &[f32],
    gradient: &[f32],
    output: &mut [f32],
) {
    let mut best = vec![(f32::NEG_INFINITY, None); channels];
    for at in super::pool::places(geometry, y, x) {
        for (best, &value) in best.iter_mut().zip(&input[at * channels..]) {
            if best.1.is_none() || super::pool::is_larger(value, best.0) {
                *best = (value, Some(at));
            }
        }
    }
    for (channel, (best, gradient)) in best.into_iter().zip(gradient).enumerate() {
        if let Some(at) = best.1 {
            output[at * channels + channel] += gradient;
        }
    }
}

/// The largest logit, and the logarithm of `Σ exp(logit − largest)`.
fn log_sum(logits: &[f32]) -> (f64, f64) {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    (largest, logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln())
}

fn first_largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn cross_entropy(classes: usize, logits: &[f32], targets: &[f32], output: &mut [f32]) {
    let items = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
    for (output, (logits, targets)) in output.chunks_exact_mut(2).zip(items) {
        let (largest, log_sum) = log_sum(logits);
        let term = |(&logit, &target): (&f32, &f32)| f64::from(target) * (largest + log_sum - f64::from(logit));
        output[0] = logits.iter().zip(targets).map(term).sum::<f64>() as f32;
        output[1] = if first_largest(logits) == first_largest(targets) { 1.0 } else { 0.0 };
    }
}

fn cross_entropy_gradient(classes: usize, logits: &[f32], targets: &[f32], output: &mut [f32]) {
    let count = (logits.len() / classes) as f64;
    let items = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
    for (output, (logits, targets)) in output.chunks_exact_mut(classes).zip(items) {
        let (largest, log_sum) = log_sum(logits);
        let mass: f64 = targets.iter().map(|&target| f64::from(target)).sum();
        for ((output, &logit), &target) in output.iter_mut().zip(logits).zip(targets) {
            let probability = (f64::from(logit) - largest - log_sum).exp();
            *output = ((probability * mass - f64::from(target)) / count) as f32;
        }
    }
}

/// Sums along the axes on which `to` has the extent 1; one item of the result per task.
fn reduce(input: &[f32], from: Shape, to: Shape, output: &mut [f32]) {
    let [_, channels, height, width] = from;
    let items = from[0] / to[0];
    parallel::for_each_chunk(output, elements(to) / to[0], |item, output| {
        let mut sums = vec![0.0f64; output.len()];
        let pixels = &input[item * items * height * width * channels..][..items * height * width * channels];
        for (place, pixel) in pixels.chunks_exact(channels).enumerate() {
            let (y, x) = (place / width % height, place % width);
            let sums = &mut sums[(y.min(to[2] - 1) * to[3] + x.min(to[3] - 1)) * to[1]..][..to[1]];
            for (channel, &value) in pixel.iter().enumerate() {
                sums[channel.min(to[1] - 1)] += f64::from(value);
            }
        }
        output.iter_mut().zip(sums).for_each(|(output, sum)| *output = sum as f32);
    });
}

/// Parameters that follow their gradients: whole arenas.
struct Following<'a> {
    by: Hyperparameters,
    /// So many of the parameters decay.
    decayed: usize,
    /// What gradients are multiplied by.
    scale: f32,
    gradients: &'a [f32],
}

impl Following<'_> {
    fn sgd(&self, nesterov: bool, p: &mut [f32], m: &mut [f32]) {
        let Hyperparameters { rate, momentum, decay, .. } = self.by;
        let m = SharedMut::new(m);
        parallel::for_each_chunk(p, CHUNK, |index, p| {
            let start = index * CHUNK;
            // SAFETY: tasks have different chunks.
            let m = unsafe { std::slice::from_raw_parts_mut(m.at(start, p.len()), p.len()) };
            for (at, ((p, m), g)) in p.iter_mut().zip(m).zip(&self.gradients[start..]).enumerate() {
                let own = self.scale * g;
                let gradient = if start + at < self.decayed { own + decay * *p } else { own };
                *m = momentum * *m + gradient;
                *p -= rate * if nesterov { gradient + momentum * *m } else { *m };
            }
        });
    }

    fn adam_w(&self, p: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let Hyperparameters { rate, momentum: beta1, decay, second_momentum: beta2, eps, step, unbias, .. } = self.by;
        let (m, v) = (SharedMut::new(m), SharedMut::new(v));
        parallel::for_each_chunk(p, CHUNK, |index, p| {
            let start = index * CHUNK;
            // SAFETY: tasks have different chunks.
            let [m, v] = [m, v].map(|all| unsafe { std::slice::from_raw_parts_mut(all.at(start, p.len()), p.len()) });
            for (at, (((p, m), v), g)) in p.iter_mut().zip(m).zip(v).zip(&self.gradients[start..]).enumerate() {
                let gradient = self.scale * g;
                if start + at < self.decayed {
                    *p -= rate * decay * *p;
                }
                *m = beta1 * *m + (1.0 - beta1) * gradient;
                *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
                *p -= step * *m / (v.sqrt() * unbias + eps);
            }
        });
    }
}
