//! A plan on a device, verified: what its kernels compute was compared with the CPU path for every batch size that it runs.

use std::time::Duration;

use super::autotune::tune;
use super::device::Device;
use super::executor::{Best, Executor, ImageSource, Ranking, check_fits, most_images};
use super::kernels::conv::KernelLayouts;
use super::policy::Policy;
use super::program::{KernelSetup, Program};
use super::verify::{Fault, Part, unverified, verify};
use crate::load_times::{LoadTimes, timed};
use crate::network::Preprocess;
use crate::plan::Plan;
#[cfg(training)]
use crate::plan::ValueId;
use crate::{Error, Precision, Result};

/// An [`Executor`] that runs batches of any size.
#[derive(Debug)]
pub(crate) struct VerifiedExecutor {
    device: Device,
    executor: Executor,
    /// What its programs are lowered with.
    policy: Policy,
    setup: KernelSetup,
    /// Lowered and verified when it was loaded, until it is prepared.
    lowered: Option<Program>,
    /// So many images at a time are within the device's limits, as far as is known.
    most_images: usize,
    /// What was found wrong, and replaced.
    faults: Vec<Fault>,
}

impl VerifiedExecutor {
    /// Lowers a plan with the device's policy, verifies the kernels for a batch of one, and only then uploads the weights.
    ///
    /// # Errors
    /// Those of [`Executor::new`]; [`Error::Gpu`] where a kernel is wrong that no other can stand in for.
    pub(crate) async fn load(device: &Device, plan: &Plan) -> Result<Self> {
        tune(device, plan).await?;
        let mut policy = device.policy();
        let (mut faults, mut compile, mut check) = (vec![], Duration::ZERO, Duration::ZERO);
        let (layouts, setup, program) = loop {
            let layouts = KernelLayouts::new(plan, &policy);
            let program = Program::new(plan, 1, &policy, &layouts)?;
            // First, because it says what is beyond the device's limits.
            check_fits(device, plan, &program, policy.precision)?;
            let setup = KernelSetup::new(plan, &policy, &layouts)?;
            let parts = unverified(device, plan, &policy, &layouts, &setup, &program)?;
            // A driver may refuse what is new to it; everything else runs without.
            match timed(compiled(device, &parts)).await {
                Ok(((), took)) => compile += took,
                Err(error) if policy.has_matrix_units() && policy.allows("matrix") => {
                    log::warn!("{error}; matrix units are left alone");
                    device.exclude("matrix");
                    policy = policy.without("matrix");
                    continue;
                }
                Err(error) => return Err(error),
            }
            let (replacement, took) = timed(verify(device, &parts, &policy, false)).await?;
            check += took;
            let Some(replacement) = replacement else { break (layouts, setup, program) };
            log_fault(&replacement.fault, &replacement.policy);
            faults.push(replacement.fault);
            policy = replacement.policy;
        };
        device.save();
        let most_images = most_images(device, plan, &program, policy.precision);
        let mut executor = Executor::new(device, plan, policy.clone(), layouts, &setup).await?;
        executor.times = LoadTimes { check, compile: executor.times.compile + compile, ..executor.times };
        let (device, lowered) = (device.clone(), Some(program));
        Ok(Self { device, executor, policy, setup, lowered, most_images, faults })
    }

    /// Whether it runs on a device that a program has made for itself.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn is_on_device_of_program(&self) -> bool {
        self.device.is_from_program()
    }

    /// Kernels that were found to compute wrong results, and replaced.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How long loading and preparing took.
    pub(crate) fn times(&self) -> LoadTimes {
        self.executor.times
    }

    /// How it stores numbers and computes: single precision, where what was wanted was found to be wrong.
    pub(crate) fn precision(&self) -> Precision {
        self.policy.precision
    }

    /// Makes everything ready for a batch of this size, and gives how many images at a time it takes.
    ///
    /// # Errors
    /// Those of [`VerifiedExecutor::load`].
    pub(crate) async fn prepare(&mut self, batch: usize) -> Result<usize> {
        let mut part = batch.clamp(1, self.most_images);
        while let Err(error) = self.prepare_exactly(part).await {
            // What a layer leaves for its next dispatch may grow faster than the batch.
            if part == 1 || !matches!(error, Error::Limit { .. }) {
                return Err(error);
            }
            part = part.div_ceil(2);
            self.most_images = part;
        }
        Ok(part)
    }

    async fn prepare_exactly(&mut self, batch: usize) -> Result<()> {
        if self.executor.is_prepared(batch) {
            return Ok(());
        }
        if let Some(program) = self.lowered.take_if(|program| program.batch == batch) {
            return self.executor.prepare(&program).await;
        }
        loop {
            let (plan, layouts) = (self.executor.plan(), self.executor.layouts());
            let program = Program::new(plan, batch, &self.policy, layouts)?;
            check_fits(&self.device, plan, &program, self.policy.precision)?;
            let parts = unverified(&self.device, plan, &self.policy, layouts, &self.setup, &program)?;
            compiled(&self.device, &parts).await?;
            let (replacement, took) = timed(verify(&self.device, &parts, &self.policy, true)).await?;
            self.executor.times.check += took;
            if let Some(replacement) = replacement {
                log_fault(&replacement.fault, &replacement.policy);
                self.faults.push(replacement.fault);
                self.policy = replacement.policy;
                continue;
            }
            if !parts.is_empty() {
                self.device.save();
            }
            return self.executor.prepare(&program).await;
        }
    }

    /// Runs the network. A batch that is beyond the device's limits is run in parts.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub(crate) async fn run(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.executor.plan().check_inputs(batch, inputs)?;
        let mut outputs = vec![vec![]; self.executor.plan().outputs().len()];
        let mut done = 0;
        while done < batch {
            let part = self.prepare(batch - done).await?;
            let of = |input: &&[f32]| input.len() / batch;
            let slices: Vec<&[f32]> =
                inputs.iter().map(|input| &input[of(input) * done..of(input) * (done + part)]).collect();
            let results = self.executor.run(part, &slices).await?;
            if part == batch {
                return Ok(results);
            }
            outputs.iter_mut().zip(results).for_each(|(whole, part)| whole.extend(part));
            done += part;
        }
        Ok(outputs)
    }

    /// [`Executor::repeat`] for a batch of any size: beyond the device's limits, it is uploaded, run and read back in parts, one by
    /// one.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub(crate) async fn repeat(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        repeats: usize,
    ) -> Result<(Duration, Vec<Vec<f32>>)> {
        self.executor.plan().check_inputs(batch, inputs)?;
        if self.prepare(batch).await? == batch {
            return self.executor.repeat(batch, inputs, repeats).await;
        }
        let run = async {
            for _ in 1..repeats {
                self.run(batch, inputs).await?;
            }
            self.run(batch, inputs).await
        };
        let (outputs, elapsed) = timed(run).await?;
        Ok((elapsed, outputs))
    }

    /// Composes all kernels `repeats` times and gives the time of that.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(crate) async fn repeat_fold(&self, repeats: usize) -> Result<Duration> {
        self.executor.repeat_fold(&self.setup, repeats).await
    }

    /// The shader families that a run with this batch uses, each once, in the order of their first use.
    ///
    /// # Errors
    /// Those of [`Program::new`].
    pub(crate) fn kernels(&self, batch: usize) -> Result<Vec<&'static str>> {
        let batch = batch.clamp(1, self.most_images);
        if let Some(kernels) = self.executor.kernels(batch) {
            return Ok(kernels.to_vec());
        }
        Ok(Program::new(self.executor.plan(), batch, &self.policy, self.executor.layouts())?.kernels())
    }

    /// The best classes of every image, for a network of one input `[3, H, W]`; best first.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub(crate) async fn classify(
        &mut self,
        images: &[ImageSource<'_>],
        how: &Preprocess,
        ranking: Ranking,
    ) -> Result<Vec<Vec<Best>>> {
        let mut results = vec![];
        while results.len() < images.len() {
            let rest = &images[results.len()..];
            let part = self.prepare(rest.len()).await?;
            results.extend(self.executor.classify(&rest[..part], how, ranking).await?);
        }
        Ok(results)
    }

    /// What becomes of images: `[N, 3, H, W]`.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub(crate) async fn preprocess(&mut self, images: &[ImageSource<'_>], how: &Preprocess) -> Result<Vec<f32>> {
        let (mut results, mut rest) = (vec![], images);
        while !rest.is_empty() {
            let part = self.prepare(rest.len()).await?;
            results.extend(self.executor.preprocess(&rest[..part], how).await?);
            rest = &rest[part..];
        }
        Ok(results)
    }

    /// Whether an image of this width and height can be preprocessed on the device.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) async fn can_preprocess(&mut self, size: [usize; 2], how: &Preprocess) -> Result<bool> {
        self.executor.can_preprocess(size, how).await
    }

    /// A training step: see [`Executor::step`].
    #[cfg(training)]
    pub(crate) async fn step(&mut self, inputs: &[&[f32]], is_submitted: &mut bool) -> Result<()> {
        self.prepare(1).await?;
        self.executor.step(inputs, is_submitted).await
    }

    /// What a state or a value of an arena is, NCHW.
    #[cfg(training)]
    pub(crate) async fn read(&mut self, value: ValueId) -> Result<Vec<f32>> {
        self.prepare(1).await?;
        self.executor.read(value).await
    }

    /// Sets a state, NCHW.
    #[cfg(training)]
    pub(crate) async fn write(&mut self, value: ValueId, values: &[f32]) -> Result<()> {
        self.prepare(1).await?;
        self.executor.write(value, values).await
    }
}

/// Compiles the shaders of all parts, side by side.
async fn compiled(device: &Device, parts: &[Part]) -> Result<()> {
    device.compile(parts.iter().flat_map(Part::shaders)).await
}

fn log_fault(fault: &Fault, policy: &Policy) {
    let instead = if policy.precision == fault.precision { "another kernel" } else { "f32" };
    log::warn!("{fault}; {instead} is used");
}
