//! What stays from run to run: set, read, and changed by the steps of training.

use super::{Executor, Program, record};
use crate::gpu::Device;
use crate::gpu::layout::{loaded, map_len, pack_map, stored, unpack_map};
use crate::plan::{Plan, ValueId};
use crate::{Error, Result};

impl Executor {
    /// A training step: inputs are uploaded, and the plan is replayed; nothing is read. It is under way when this returns, and
    /// the one before it is done.
    pub(crate) async fn step(&mut self, inputs: &[&[f32]]) -> Result<()> {
        self.plan.check_inputs(1, inputs)?;
        self.device.check_alive()?;
        let mut program = self.take_program(1).await?;
        self.pack(&mut program, inputs);
        for (&value, packed) in self.plan.inputs.iter().zip(&program.packed) {
            self.device.queue.write_buffer(program.maps.get(value), 0, &stored(self.storage(), packed));
        }
        let encode = |encoder: &mut wgpu::CommandEncoder| record(encoder, &program.commands);
        let submitted = self.device.hand_over("training", encode).await;
        let before = program.in_flight.take();
        // The states lie in it: whatever went wrong, they are not to begin anew.
        self.programs.push(program);
        if let Some(before) = before {
            self.device.finish("training", before).await?;
        }
        let submitted = submitted?;
        if let Some(program) = self.programs.last_mut() {
            program.in_flight = Some(submitted);
        }
        Ok(())
    }

    /// What a value holds after a run, NCHW. Only states and what lies in arenas is there still.
    pub(crate) async fn read(&mut self, value: ValueId) -> Result<Vec<f32>> {
        let program = self.take_program(1).await?;
        let values = self.read_value(&program, value).await;
        self.programs.push(program);
        values
    }

    /// Sets a state, NCHW.
    pub(crate) async fn write(&mut self, value: ValueId, values: &[f32]) -> Result<()> {
        let program = self.take_program(1).await?;
        let written = self.write_value(&program, value, values).await;
        self.programs.push(program);
        written
    }

    /// Makes the states of a new program what they are before the first run.
    pub(super) async fn initialise(&self, program: &Program) -> Result<()> {
        for state in self.plan.states.iter().filter(|state| !state.initial.is_empty()) {
            self.write_value(program, state.value, &state.initial).await?;
        }
        Ok(())
    }

    async fn write_value(&self, program: &Program, value: ValueId, values: &[f32]) -> Result<()> {
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

    async fn read_value(&self, program: &Program, value: ValueId) -> Result<Vec<f32>> {
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

/// What a plan keeps between runs must fit a binding, list by list.
pub(super) fn check_arenas(device: &Device, plan: &Plan) -> Result<()> {
    let memory = plan.memory(1, map_len);
    for arena in plan.arenas().iter().filter(|arena| !arena.is_empty()) {
        let bytes = 4 * memory.sizes[memory.buffer_of(arena[0])] as u64;
        device.check_binding("all parameters together", bytes).map_err(|error| match error {
            Error::Limit { what, needed, limit, limit_name, .. } => {
                let way_out = "freeze some of them, or use `cpu` as the adapter";
                Error::Limit { what, needed, limit, limit_name, way_out }
            }
            other => other,
        })?;
    }
    Ok(())
}
