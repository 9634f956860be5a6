//! Running the same again and again on what lies on the device, for benchmarks and autotuning.

use std::time::Duration;

use super::command::record;
use super::executor::{Executor, FOLDING};
use super::prepared::{Maps, Prepared};
use crate::Result;
use crate::gpu::program::KernelSetup;
use crate::gpu::shader::stored;

/// An input that the network overwrites, and where it is kept.
struct Kept {
    copy: wgpu::Buffer,
    map: wgpu::Buffer,
}

impl Executor {
    /// Runs the network `repeats` times, at least once, on a batch that is prepared, and gives the time of all runs and the outputs
    /// of the last.
    ///
    /// Inputs are on the device when the clock starts, and outputs are read after it has stopped; the time ends when the
    /// device says that all is done. Where the network overwrites its inputs, copying them from elsewhere on the device is
    /// a part of every run.
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
        self.device.check_alive()?;
        let at = self.at(batch)?;
        self.pack(at, inputs);
        let readback = self.programs[at].readback.take();
        let program = &self.programs[at];
        let kept = self.upload(program).await?;
        let encode = |encoder: &mut wgpu::CommandEncoder, runs| {
            for _ in 0..runs {
                for Kept { copy, map } in &kept {
                    encoder.copy_buffer_to_buffer(copy, 0, map, 0, copy.size());
                }
                record(encoder, &program.commands);
            }
        };
        let elapsed = self.device.time("running the network", program.commands.len(), repeats.max(1), encode).await?;
        let read = self.read_outputs("reading the results", program, readback, |_| {}).await?;
        Ok((elapsed, self.keep(at, read)))
    }

    /// Composes `repeats` times, at least once, all kernels that no step composes for every run, and gives the time of
    /// that. They are zero when it begins, so that what is there afterwards was composed here.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub async fn repeat_fold(&self, setup: &KernelSetup, repeats: usize) -> Result<Duration> {
        let commands = self.commands(&setup.fold, &Maps::default()).await?;
        let clear = |encoder: &mut wgpu::CommandEncoder| {
            for buffer in self.weights.composed() {
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
    async fn upload(&self, program: &Prepared) -> Result<Vec<Kept>> {
        let queue = &self.device.queue;
        let kept = self
            .device
            .checked("uploading inputs", || {
                let mut kept = vec![];
                for (&value, packed) in self.plan.inputs().iter().zip(&program.packed) {
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
