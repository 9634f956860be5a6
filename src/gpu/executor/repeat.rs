//! Running the same again and again on what lies on the device, for benchmarks.

use std::time::Duration;

use web_time::Instant;

use super::weights::Arena;
use super::{Executor, FOLDING, Maps, Program, record};
use crate::Result;
use crate::gpu::dispatch;
use crate::gpu::layout::stored;

/// An input that the network overwrites, and where it is kept.
struct Kept {
    copy: wgpu::Buffer,
    map: wgpu::Buffer,
}

impl Executor {
    /// The shader families that a run with this batch uses, each once, in the order of their first use.
    ///
    /// # Errors
    /// Those of [`dispatch::run`].
    pub fn kernels(&self, batch: usize) -> Result<Vec<&'static str>> {
        let mut families = vec![];
        for dispatch in dispatch::run(&self.plan, batch.min(self.largest_batch), &self.policy)? {
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
        let encode = |encoder: &mut wgpu::CommandEncoder, runs| {
            for _ in 0..runs {
                for Kept { copy, map } in &kept {
                    encoder.copy_buffer_to_buffer(copy, 0, map, 0, copy.size());
                }
                record(encoder, &program.commands);
            }
        };
        let elapsed = self.device.time("running the network", program.commands.len(), repeats.max(1), encode).await?;
        let outputs = self.read_outputs("reading the results", &program, |_| {}).await?;
        self.programs.push(program);
        Ok((elapsed, outputs))
    }

    /// Composes `repeats` times, at least once, all kernels that no step composes for every run, and gives the time of
    /// that. They are zero when it begins, so that what is there afterwards was composed here.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub async fn repeat_fold(&self, repeats: usize) -> Result<Duration> {
        let commands = self.commands(&dispatch::fold(&self.plan, &self.policy)?, &Maps::default()).await?;
        let clear = |encoder: &mut wgpu::CommandEncoder| {
            for buffer in &self.weights.buffers[Arena::Composed as usize] {
                encoder.clear_buffer(buffer, 0, None);
            }
        };
        self.device.submit_and_wait("clearing kernels", clear).await?;
        let encode = |encoder: &mut wgpu::CommandEncoder, runs| {
            for _ in 0..runs {
                record(encoder, &commands);
            }
        };
        self.device.time(FOLDING, commands.len(), repeats.max(1), encode).await
    }

    /// Brings the inputs to the device and waits until they are there.
    async fn upload(&self, program: &Program) -> Result<Vec<Kept>> {
        let queue = &self.device.queue;
        let kept = self
            .device
            .checked("uploading inputs", || {
                let mut kept = vec![];
                for (&value, packed) in self.plan.inputs.iter().zip(&program.packed) {
                    let (bytes, map) = (&stored(self.storage(), packed)[..], program.maps.get(value));
                    if program.maps.is_shared(value) {
                        let copy = self.map_buffer(self.map_bytes(value, program.batch));
                        queue.write_buffer(&copy, 0, bytes);
                        kept.push(Kept { copy, map: map.clone() });
                    } else {
                        queue.write_buffer(map, 0, bytes);
                    }
                }
                kept
            })
            .await?;
        self.device.submit_and_wait("uploading inputs", |_| {}).await?;
        Ok(kept)
    }
}
