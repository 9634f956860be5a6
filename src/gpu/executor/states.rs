//! What stays from run to run: set, read, and changed by the steps of training.

use super::command::record;
use super::executor::Executor;
use super::prepared::Prepared;
use crate::Result;
use crate::gpu::shader::{loaded, map_len, pack_map, stored, unpack_map};
use crate::plan::ValueId;

impl Executor {
    /// A training step: inputs are uploaded, and the plan is replayed; nothing is read. It is under way when this returns, and
    /// the one before it is done. `is_submitted` becomes true where the device will run it whether or not this is awaited to its
    /// end.
    pub(crate) async fn step(&mut self, inputs: &[&[f32]], is_submitted: &mut bool) -> Result<()> {
        *is_submitted = false;
        self.plan.check_inputs(1, inputs)?;
        self.device.check_alive()?;
        let at = self.at(1)?;
        self.pack(at, inputs);
        let program = &self.programs[at];
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            for (&value, packed) in self.plan.inputs().iter().zip(&program.packed) {
                self.device.queue.write_buffer(program.maps.get(value), 0, &stored(self.storage(), packed));
            }
            record(encoder, &program.commands);
        };
        let submitted = self.device.submit_only("training", encode, is_submitted).await;
        let before = self.programs[at].in_flight.take();
        if let Some(before) = before {
            self.device.finish("training", before).await?;
        }
        self.programs[at].in_flight = Some(submitted?);
        Ok(())
    }

    /// What a value holds after a run, NCHW. Only states and what lies in arenas is there still.
    pub(crate) async fn read(&self, value: ValueId) -> Result<Vec<f32>> {
        let program = &self.programs[self.at(1)?];
        self.read_value(program, value).await
    }

    /// Sets a state, NCHW.
    pub(crate) async fn write(&self, value: ValueId, values: &[f32]) -> Result<()> {
        let program = &self.programs[self.at(1)?];
        self.write_value(program, value, values).await
    }

    /// Makes the states of a new program what they are before the first run.
    pub(super) async fn initialise(&self, program: &Prepared) -> Result<()> {
        for state in self.plan.states().iter().filter(|state| !state.initial.is_empty()) {
            self.write_value(program, state.value, &state.initial).await?;
        }
        Ok(())
    }

    async fn write_value(&self, program: &Prepared, value: ValueId, values: &[f32]) -> Result<()> {
        let shape = self.plan.value(value).batched(program.batch);
        let mut packed = vec![0.0; map_len(shape)];
        pack_map(shape, values, &mut packed);
        let (buffer, offset) = program.maps.place(value);
        self.device
            .checked("uploading a state", || {
                self.device.queue.write_buffer(buffer, offset, &stored(self.storage(), &packed));
            })
            .await
    }

    async fn read_value(&self, program: &Prepared, value: ValueId) -> Result<Vec<f32>> {
        let shape = self.plan.value(value).batched(program.batch);
        let size = self.map_bytes(value, program.batch);
        let readback = self.device.checked("making room for a state", || self.readback_buffer(size)).await?;
        let (buffer, offset) = program.maps.place(value);
        let encode =
            |encoder: &mut wgpu::CommandEncoder| encoder.copy_buffer_to_buffer(buffer, offset, &readback, 0, size);
        let take = |bytes: &[u8]| unpack_map(shape, &loaded(self.storage(), bytes));
        self.device.submit_and_read("reading a state", &readback, encode, take).await
    }
}
