//! Running the same again and again, for benchmarks.

use std::time::Duration;

use web_time::Instant;

use super::{Executor, parallel};
use crate::Result;
use crate::plan::{Kernel, KernelSource};

impl Executor {
    /// Runs the plan `repeats` times, at least once, and gives the time of all runs and the outputs of the last.
    ///
    /// Inputs are laid out before and outputs after the time is taken. Where the plan overwrites its inputs, laying them
    /// out anew is a part of every run; and a batch that is more than the caches hold is laid out part by part, both ways.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub fn repeat(&mut self, batch: usize, inputs: &[&[f32]], repeats: usize) -> Result<(Duration, Vec<Vec<f32>>)> {
        self.plan.check_inputs(batch, inputs)?;
        if self.images_at_a_time() < batch {
            let start = Instant::now();
            for _ in 1..repeats {
                self.run(batch, inputs)?;
            }
            let outputs = self.run(batch, inputs)?;
            return Ok((start.elapsed(), outputs));
        }
        self.make_room(batch)?;
        let mut results = self.room_for_results(batch)?;
        let overwritten = self.overwrites_inputs();
        parallel::enter(|| {
            self.load(0, batch, inputs);
            let start = Instant::now();
            for _ in 0..repeats.max(1) {
                if overwritten {
                    self.load(0, batch, inputs);
                }
                self.compose()?;
                self.replay(batch, false)?;
            }
            let elapsed = start.elapsed();
            self.store(0, batch, &mut results);
            Ok((elapsed, results))
        })
    }

    /// Composes and packs `repeats` times, at least once, all kernels that are made of W and D which the plan still has, and
    /// gives the time of that. They are zero when it begins, so that what is there afterwards was composed here.
    ///
    /// # Errors
    /// Those of [`doconv::fold`](crate::doconv::fold).
    pub fn repeat_fold(&mut self, repeats: usize) -> Result<Duration> {
        let is_composed = |kernel: &Kernel| matches!(kernel.source, KernelSource::Composed(_));
        let composed = || self.plan.kernels.iter().enumerate().filter(|(_, kernel)| is_composed(kernel));
        for (id, kernel) in composed() {
            self.kernels[id].set(&kernel.conv, &vec![0.0; kernel.conv.kernel_shape().iter().product()]);
        }
        parallel::enter(|| {
            let start = Instant::now();
            for _ in 0..repeats.max(1) {
                for (id, kernel) in composed() {
                    self.kernels[id].fill(kernel)?;
                }
            }
            Ok(start.elapsed())
        })
    }

    fn overwrites_inputs(&self) -> bool {
        let is_shared = |&id| self.buffers.memory.as_ref().is_some_and(|memory| memory.is_shared(id));
        self.plan.inputs.iter().any(is_shared)
    }
}
