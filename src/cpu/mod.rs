//! Running a plan on the CPU: for machines without a GPU, and for networks too small to be worth sending to one.
//!
//! Feature maps are NHWC in memory, so that the channels of a pixel are contiguous: a vector is some channels of one
//! pixel, both for matrix products, whose right-hand side is packed per output channel, and for depthwise convolutions.
//!
//! The instruction set (AVX-512, AVX2, NEON, WebAssembly SIMD, or what every CPU of the architecture has) is chosen at
//! run time by `rten-simd`.
//!
//! What was decided, and why:
//!
//! - Convolutions multiply through a table of pixel pointers rather than an im2col matrix (Dukhan, *The Indirect
//!   Convolution Algorithm*, 2019). No pixel is copied, and bias, residual and clamp are applied while the sums are in
//!   registers. `rten-gemm` 0.27, with its weights packed beforehand, takes 1.7 times as long for 16 → 96 channels at
//!   112×112 and 1.5 times for 24 → 144 at 56×56, without activation, because it packs the pixels first; from some 100
//!   input channels on the two are equal; at 7×7 it is about 10 % faster with its weights in the cache (AMD EPYC 7003,
//!   AVX2, one thread).
//! - Tasks hold all of the depth: with the weights packed, a panel of them stays in the caches without blocking.
//! - Depthwise tiles are 7 pixels wide, and walk down a few channels of the map before the next ones.
//! - A large batch is run as several small ones, so that what a layer writes is still in the cache for the next.
//! - Every size of tile is a function of its own. In one function that held them all the compiler stopped inlining
//!   vector operations, and EfficientNet-Lite0 took 600 ms instead of 11 on one thread.

mod activation;
mod aligned;
mod compose;
mod depthwise;
mod elementwise;
mod geometry;
#[cfg(training)]
mod gradient;
mod grouped_pointwise;
mod kernel;
mod layout;
mod layout_ops;
mod matmul;
mod microkernel;
mod pack;
mod parallel;
pub(crate) mod peak;
mod pool;
mod repeat;
mod resize;
#[cfg(test)]
mod tests;
#[cfg(training)]
mod training;
mod worker_group;

use activation::Finish;
use aligned::Aligned;
use geometry::Geometry;
use kernel::{Operands, Prepared};
pub use parallel::threads;
pub(crate) use worker_group::WorkerGroup;

use web_time::Instant;

use crate::load_times::LoadTimes;
use crate::network::Shape;
#[cfg(training)]
use crate::plan::TrainStep;
use crate::plan::{Kernel, KernelId, KernelSource, Memory, Plan, Step, Transposed, ValueId};
use crate::{Error, Result};

/// A plan with its weights packed for this machine's CPU.
///
/// ```
/// use doconv::{Model, cpu::Executor, plan::{Mode, Plan}};
/// # fn demo(model: &Model, image: &[f32]) -> doconv::Result<()> {
/// let mut executor = Executor::new(&Plan::new(model, Mode::Folded)?)?;
/// let logits = &executor.run(1, &[image])?[0];
/// # Ok(()) }
/// ```
pub struct Executor {
    plan: Plan,
    /// One for each of the plan's kernels.
    kernels: Vec<Prepared>,
    /// One for each of the plan's constants: maps are NHWC, as all maps are; the tables of interpolations have one image
    /// of two channels that are kept apart.
    constants: Vec<Vec<f32>>,
    /// What padding looks like: as many as any convolution has input channels, times the columns of its kernel.
    zeros: Aligned,
    buffers: Buffers,
    /// Who shares the work of [`Executor::run`].
    workers: Option<Box<dyn WorkerGroup>>,
    pub(crate) times: LoadTimes,
}

/// Elements that a step may read and write before a batch is cut into smaller ones, which the caches can hold.
const CACHED_ELEMENTS: usize = 1024 * 1024;

/// Memory for some images at a time.
#[derive(Default)]
struct Buffers {
    images: usize,
    memory: Option<Memory>,
    buffers: Vec<Aligned>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("steps", &self.plan.steps.len()).finish_non_exhaustive()
    }
}

/// More than there can be where that is beyond what an address can say, so that there is no room for it.
fn elements(shape: Shape) -> usize {
    shape.iter().fold(1, |count, &extent| count.saturating_mul(extent))
}

fn out_of_memory(doing: &str) -> Error {
    Error::OutOfMemory { doing: doing.into() }
}

/// Room for results, which may be more than there is.
fn try_zeros(len: usize) -> Result<Vec<f32>> {
    let mut values = vec![];
    values.try_reserve_exact(len).map_err(|_| out_of_memory("making room for results"))?;
    values.resize(len, 0.0);
    Ok(values)
}

impl Executor {
    /// Packs the weights, composing the kernels that come as W and D and that no step composes anew.
    ///
    /// # Errors
    /// Those of [`crate::doconv::fold`].
    pub fn new(plan: &Plan) -> Result<Self> {
        let every_run = |id| plan.composes_every_run(id);
        let mut times = LoadTimes::default();
        let prepare = |(id, kernel): (usize, &Kernel)| {
            let now = !every_run(KernelId(id)) && !matches!(kernel.source, KernelSource::Transposed(_));
            let start = Instant::now();
            let prepared = Prepared::new(kernel, now);
            let is_folded = now && matches!(kernel.source, KernelSource::Composed(_));
            *(if is_folded { &mut times.fold } else { &mut times.upload }) += start.elapsed();
            prepared
        };
        let kernels = parallel::enter(|| plan.kernels.iter().enumerate().map(prepare).collect::<Result<_>>())?;
        let zeros = plan.kernels.iter().map(|kernel| kernel.conv.in_channels * kernel.conv.kernel[1]).max();
        let constants = plan.constants.iter().enumerate().map(|(id, constant)| {
            let is_map = |step: &Step| matches!(step, Step::Constant { constant, .. } if constant.0 == id);
            let [_, channels, height, width] = constant.shape;
            if !plan.steps.iter().any(is_map) {
                return constant.values.clone();
            }
            let mut values = vec![0.0; constant.values.len()];
            layout::transpose(&constant.values, &mut values, channels, height * width);
            values
        });
        let constants = constants.collect();
        let plan = plan.without_weights(|id| every_run(id) || plan.reads_weights(id));
        Ok(Self {
            plan,
            kernels,
            constants,
            zeros: Aligned::zeros(zeros.unwrap_or(0)),
            buffers: Buffers::default(),
            workers: None,
            times,
        })
    }

    /// Shares the work of every run from now on with others that have the same plan and the same weights.
    #[cfg_attr(not(all(target_arch = "wasm32", feature = "web")), allow(dead_code))]
    pub(crate) fn join(&mut self, workers: impl WorkerGroup + 'static) {
        self.workers = Some(Box::new(workers));
    }

    /// Runs the plan on `batch` images; one slice per plan input, one vector per plan output, both NCHW.
    ///
    /// Buffers are kept from run to run and allocated anew when the batch size changes.
    ///
    /// # Errors
    /// [`Error::Input`] if `batch` is 0, or the number of inputs or the length of one is wrong;
    /// [`Error::OutOfMemory`]; those of [`crate::doconv::fold`] in [`Mode::Kernel`](crate::plan::Mode::Kernel).
    pub fn run(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.plan.check_inputs(batch, inputs)?;
        let images = self.images_at_a_time().min(batch);
        self.make_room(images)?;
        let mut results = self.room_for_results(batch)?;
        #[cfg(training)]
        parallel::enter(|| self.load_parameters())?;
        let is_shared = self.workers.as_ref().is_some_and(|workers| workers.begin(batch, inputs));
        parallel::enter(|| {
            self.compose()?;
            for start in (0..batch).step_by(images) {
                let images = images.min(batch - start);
                self.load(start, images, inputs);
                self.replay(images, is_shared)?;
                self.store(start, images, &mut results);
            }
            Ok(results)
        })
    }

    /// Makes the buffers for so many images at a time, unless they are there.
    fn make_room(&mut self, images: usize) -> Result<()> {
        if self.buffers.images != images {
            let memory = self.plan.memory(images, elements);
            let buffers = memory.sizes.iter().map(|&size| Aligned::try_zeros(size)).collect::<Result<_, _>>();
            let buffers = buffers.map_err(|_| out_of_memory("making room for feature maps"))?;
            self.buffers = Buffers { images, memory: Some(memory), buffers };
            for state in std::mem::take(&mut self.plan.states) {
                self.fill(state.value, images, &state.initial);
                self.plan.states.push(state);
            }
        }
        Ok(())
    }

    /// Lays out a value, NCHW; nothing stands for zeros.
    fn fill(&mut self, id: ValueId, images: usize, values: &[f32]) {
        let shape @ [_, channels, height, width] = self.shape(id, images);
        let mut buffer = self.take(id);
        let target = self.place(id, elements(shape));
        match values {
            [] => buffer[target].fill(0.0),
            values => layout::transpose(values, &mut buffer[target], channels, height * width),
        }
        self.put(id, buffer);
    }

    fn room_for_results(&self, batch: usize) -> Result<Vec<Vec<f32>>> {
        self.plan.outputs.iter().map(|&id| try_zeros(elements(self.shape(id, batch)))).collect()
    }

    /// As many images as the caches can hold the largest step of.
    fn images_at_a_time(&self) -> usize {
        let size = |id: ValueId| elements(self.plan.value(id).shape);
        let step = |step: &Step| step.inputs().into_iter().chain(step.output()).map(size).sum::<usize>();
        let largest = self.plan.steps.iter().map(step).max().unwrap_or(0);
        (CACHED_ELEMENTS / largest.max(1)).max(1)
    }

    fn compose(&mut self) -> Result<()> {
        for step in &self.plan.steps {
            match step {
                Step::Compose(id) => self.kernels[id.0].fill(self.plan.kernel(*id))?,
                Step::Transpose(id) => {
                    let kernel = self.plan.kernel(*id);
                    if let KernelSource::Transposed(transposed) = &kernel.source {
                        let Transposed { of, conv, sub_pixel } = &**transposed;
                        let values = sub_pixel.kernel(conv, &kernel::values(self.plan.kernel(*of))?);
                        self.kernels[id.0].set(&kernel.conv, &values);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Lays out the inputs of `images` images from `start` on.
    fn load(&mut self, start: usize, images: usize, inputs: &[&[f32]]) {
        for (index, input) in inputs.iter().enumerate() {
            let id = self.plan.inputs[index];
            let shape @ [_, channels, height, width] = self.plan.value(id).shape;
            let image = elements(shape);
            let mut buffer = self.take(id);
            let input = &input[start * image..][..images * image];
            layout::transpose(input, &mut buffer[..input.len()], channels, height * width);
            self.put(id, buffer);
        }
    }

    /// Runs all steps for `images` images, alone or with the other workers.
    fn replay(&mut self, images: usize, is_shared: bool) -> Result<()> {
        for index in 0..self.plan.steps.len() {
            #[cfg(training)]
            match &self.plan.steps[index] {
                Step::Train(TrainStep::Accumulate(step)) => self.accumulate(&step.clone()),
                Step::Train(TrainStep::Update(step)) => self.update(&step.clone()),
                _ => {}
            }
            let Some(id) = self.plan.steps[index].output() else { continue };
            // No step's output shares a buffer with its inputs, so those are all there.
            let mut buffer = self.take(id);
            let workers = self.workers.as_deref().filter(|_| is_shared);
            let target = self.place(id, elements(self.shape(id, images)));
            let done = self.step(&self.plan.steps[index], images, workers, &mut buffer[target]);
            // Before an error is given: the next run wants its buffers, and states are nowhere else.
            self.put(id, buffer);
            done?;
        }
        Ok(())
    }

    /// Lays out the outputs of `images` images from `start` on.
    fn store(&self, start: usize, images: usize, results: &mut [Vec<f32>]) {
        for (&id, result) in self.plan.outputs.iter().zip(results) {
            let shape @ [_, channels, height, width] = self.plan.value(id).shape;
            let value = self.value(id, images);
            let image = elements(shape);
            let result = &mut result[start * image..][..images * image];
            layout::transpose(value, result, height * width, channels);
        }
    }

    fn buffer_of(&self, id: ValueId) -> usize {
        self.buffers.memory.as_ref().expect("`run` makes the buffers first").buffer_of(id)
    }

    /// Where a value lies in its buffer.
    fn place(&self, id: ValueId, len: usize) -> std::ops::Range<usize> {
        let start = self.buffers.memory.as_ref().expect("`run` makes the buffers first").offset_of(id);
        start..start + len
    }

    fn take(&mut self, id: ValueId) -> Aligned {
        let at = self.buffer_of(id);
        std::mem::take(&mut self.buffers.buffers[at])
    }

    fn put(&mut self, id: ValueId, buffer: Aligned) {
        let at = self.buffer_of(id);
        self.buffers.buffers[at] = buffer;
    }

    fn shape(&self, id: ValueId, batch: usize) -> Shape {
        self.plan.value(id).batched(batch)
    }

    /// A value, NHWC.
    fn value(&self, id: ValueId, batch: usize) -> &[f32] {
        &self.buffers.buffers[self.buffer_of(id)][self.place(id, elements(self.shape(id, batch)))]
    }

    fn step(&self, step: &Step, batch: usize, workers: Option<&dyn WorkerGroup>, output: &mut [f32]) -> Result<()> {
        let shape = |id| self.shape(id, batch);
        let value = |id| self.value(id, batch);
        match step {
            Step::Compose(_) | Step::Transpose(_) => {}
            #[cfg(training)]
            Step::KernelMap { .. }
            | Step::KernelGradient(_)
            | Step::BiasGradient { .. }
            | Step::ComposeGradient(_)
            | Step::PadGradient(_)
            | Step::Train(_) => self.backward(step, batch, output)?,
            #[cfg(not(training))]
            Step::KernelMap { .. }
            | Step::KernelGradient(_)
            | Step::BiasGradient { .. }
            | Step::ComposeGradient(_)
            | Step::PadGradient(_)
            | Step::Train(_) => return Err(Error::Unsupported("this build has no gradients".into())),
            Step::Conv(conv) => {
                let operands = Operands {
                    conv: &conv.conv,
                    geometry: Geometry::of_conv(&conv.conv, shape(conv.input), shape(conv.output)),
                    input: value(conv.input),
                    residual: conv.residual.map(value),
                    finish: Finish::new(conv.activation),
                    zeros: &self.zeros,
                    workers,
                };
                self.kernels[conv.kernel.0].run(operands, output);
            }
            Step::Pool(pool) => {
                let input = shape(pool.input);
                let geometry = Geometry::of_pool(pool, input, shape(pool.output));
                pool::pool(pool.kind, &geometry, input[1], value(pool.input), output);
            }
            Step::GlobalPool { kind, input, .. } => {
                let [_, channels, height, width] = shape(*input);
                pool::global(*kind, height * width, channels, value(*input), output);
            }
            Step::Binary(binary) => {
                let [a, b] = [binary.a, binary.b].map(|id| (value(id), shape(id)));
                elementwise::binary(binary.op, binary.activation, a, b, batch, shape(binary.output), output);
            }
            Step::Activation { activation, input, .. } => elementwise::activate(*activation, value(*input), output),
            Step::Concat { inputs, output: id } => {
                let inputs: Vec<_> = inputs.iter().map(|&input| (value(input), shape(input)[1])).collect();
                elementwise::concat(&inputs, shape(*id)[1], output);
            }
            Step::Constant { constant, .. } => {
                for element in output.chunks_exact_mut(self.constants[constant.0].len()) {
                    element.copy_from_slice(&self.constants[constant.0]);
                }
            }
            Step::Rearrange { view, input, output: id } => {
                layout_ops::rearrange(view, batch, shape(*input), value(*input), shape(*id), output);
            }
            Step::Pad(pad) => {
                layout_ops::pad(pad, batch, shape(pad.input), value(pad.input), shape(pad.output), output);
            }
            Step::Resize { rows, columns, input, output: id } => {
                let [rows, columns] = [rows, columns].map(|id| resize::Taps(&self.constants[id.0]));
                resize::resize(&rows, &columns, shape(*input), value(*input), shape(*id), output);
            }
            Step::Lrn { lrn, input, .. } => elementwise::lrn(lrn, shape(*input)[1], value(*input), output),
            Step::Softmax { logarithm, input, .. } => {
                elementwise::softmax(*logarithm, shape(*input)[1], value(*input), output);
            }
        }
        Ok(())
    }
}
