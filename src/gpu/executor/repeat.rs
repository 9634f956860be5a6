//! Running the same again and again on what lies on the device, for benchmarks.

use std::collections::VecDeque;
use std::time::Duration;

use futures_channel::oneshot;
use web_time::Instant;

use super::{Executor, Program, record};
use crate::gpu::dispatch;
use crate::plan::ValueId;
use crate::{Error, Result};

/// So many dispatches make a submission: the driver's share of a dispatch is then small, and a submission short.
const DISPATCHES_PER_SUBMISSION: usize = 256;

/// Submissions that may be on their way before the first of them is awaited: the device never runs dry, and its queue
/// stays short.
const SUBMISSIONS_IN_FLIGHT: usize = 4;

/// An input that the network overwrites, and where it is kept.
struct Kept {
    value: ValueId,
    copy: wgpu::Buffer,
}

/// Work that was handed over.
struct Submitted {
    index: wgpu::SubmissionIndex,
    done: oneshot::Receiver<()>,
}

impl Executor {
    /// The shader families that a run with this batch uses, each once, in the order of their first use.
    ///
    /// # Errors
    /// Those of [`dispatch::run`].
    pub fn kernels(&self, batch: usize) -> Result<Vec<&'static str>> {
        let mut families = vec![];
        for dispatch in dispatch::run(&self.plan, batch.min(self.largest_batch), self.policy)? {
            let family = dispatch.shader.family();
            if !families.contains(&family) {
                families.push(family);
            }
        }
        Ok(families)
    }

    /// Runs the network `repeats` times, at least once, and gives the time of all runs and the outputs of the last.
    ///
    /// Inputs are on the device when the clock starts, and outputs are read after it has stopped; the time ends when the
    /// device says that all is done. Where the network overwrites its inputs, copying them from elsewhere on the device is
    /// a part of every run; and a batch beyond the device's limits is run in parts, uploaded and read back one by one.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub async fn repeat(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        repeats: usize,
    ) -> Result<(Duration, Vec<Vec<f32>>)> {
        self.plan.check_inputs(batch, inputs)?;
        if self.largest_batch < batch {
            let start = Instant::now();
            for _ in 1..repeats {
                self.run(batch, inputs).await?;
            }
            let outputs = self.run(batch, inputs).await?;
            return Ok((start.elapsed(), outputs));
        }
        self.device.check_alive()?;
        let mut program = self.take_program(batch).await?;
        self.pack(&mut program, inputs);
        let kept = self.upload(&program).await?;
        let elapsed = self.time(&program, &kept, repeats.max(1)).await?;
        let outputs = self.read_outputs("reading the results", &program, |_| {}).await?;
        self.programs.push(program);
        Ok((elapsed, outputs))
    }

    /// Brings the inputs to the device and waits until they are there.
    async fn upload(&self, program: &Program) -> Result<Vec<Kept>> {
        let queue = &self.device.queue;
        let (kept, submitted) = self
            .device
            .checked("uploading inputs", || {
                let mut kept = vec![];
                for (&value, packed) in self.plan.inputs.iter().zip(&program.packed) {
                    let bytes = bytemuck::cast_slice(packed);
                    if program.maps.is_shared(value) {
                        let copy = self.map_buffer(self.map_bytes(value, program.batch));
                        queue.write_buffer(&copy, 0, bytes);
                        kept.push(Kept { value, copy });
                    } else {
                        queue.write_buffer(program.maps.get(value), 0, bytes);
                    }
                }
                (kept, self.submit(None))
            })
            .await?;
        self.finish(submitted).await?;
        Ok(kept)
    }

    async fn time(&self, program: &Program, kept: &[Kept], repeats: usize) -> Result<Duration> {
        let runs_per_submission = (DISPATCHES_PER_SUBMISSION / program.commands.len().max(1)).max(1);
        let mut in_flight = VecDeque::new();
        let mut verdicts = vec![];
        let start = Instant::now();
        for first in (0..repeats).step_by(runs_per_submission) {
            let runs = runs_per_submission.min(repeats - first);
            let (submitted, verdict) =
                self.device.scoped("running the network", move || self.submit(Some(self.encode(program, kept, runs))));
            in_flight.push_back(submitted);
            verdicts.push(verdict);
            if in_flight.len() > SUBMISSIONS_IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                self.finish(oldest).await?;
            }
        }
        for submitted in in_flight {
            self.finish(submitted).await?;
        }
        let elapsed = start.elapsed();
        // In a browser a verdict is a question to another process, which is none of the network's time.
        for verdict in verdicts {
            verdict.await?;
        }
        Ok(elapsed)
    }

    fn encode(&self, program: &Program, kept: &[Kept], runs: usize) -> wgpu::CommandBuffer {
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        for _ in 0..runs {
            for Kept { value, copy } in kept {
                encoder.copy_buffer_to_buffer(copy, 0, program.maps.get(*value), 0, copy.size());
            }
            record(&mut encoder, &program.commands);
        }
        encoder.finish()
    }

    fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> Submitted {
        let index = self.device.queue.submit(commands);
        let (sender, done) = oneshot::channel();
        self.device.queue.on_submitted_work_done(move || {
            // The receiver is gone only if the runs were given up.
            let _ = sender.send(());
        });
        Submitted { index, done }
    }

    async fn finish(&self, Submitted { index, done }: Submitted) -> Result<()> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None })?;
        if done.await.is_err() {
            self.device.check_alive()?;
            return Err(Error::Gpu { doing: "running the network".into(), reason: "the driver gave it up".into() });
        }
        Ok(())
    }
}
