//! A program with its buffers, bind groups and pipelines.

use std::collections::HashMap;

use super::command::Command;
use super::ranking::Ranker;
use crate::gpu::device::Region;
#[cfg(training)]
use crate::gpu::device::Submitted;
use crate::plan::ValueId;

/// Everything for one batch size.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) batch: usize,
    pub(super) maps: Maps,
    pub(super) commands: Vec<Command>,
    pub(super) kernels: Vec<&'static str>,
    /// Absent while a run is under way: one that is given up may leave it mapped.
    pub(super) readback: Option<wgpu::Buffer>,
    /// A training step that may be under way.
    #[cfg(training)]
    pub(super) in_flight: Option<Submitted>,
    /// The inputs in the device's layout, before they are uploaded.
    pub(super) packed: Vec<Vec<f32>>,
    /// For the ranking that was wanted last.
    pub(super) ranker: Option<Ranker>,
}

/// Feature maps on the device.
#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) buffers: Vec<wgpu::Buffer>,
    /// For every value, the index of its buffer.
    pub(super) buffer_of: Vec<usize>,
    /// For every value that does not begin its buffer or has others behind it, where it lies.
    pub(super) regions: HashMap<ValueId, Region>,
    /// What dispatches leave for those right behind them.
    pub(super) scratch: [Option<wgpu::Buffer>; 2],
}

impl Maps {
    pub(super) fn get(&self, value: ValueId) -> &wgpu::Buffer {
        &self.buffers[self.buffer_of[value.0]]
    }

    /// A value's buffer, and where it begins there.
    #[cfg(training)]
    pub(super) fn place(&self, value: ValueId) -> (&wgpu::Buffer, u64) {
        (self.get(value), self.regions.get(&value).map_or(0, |region| region.offset))
    }

    pub(super) fn binding(&self, value: ValueId) -> wgpu::BindingResource<'_> {
        match self.regions.get(&value) {
            Some(region) => region.bind(&self.buffers),
            None => self.get(value).as_entire_binding(),
        }
    }

    /// Whether a value's buffer holds other values at other times.
    pub(super) fn is_shared(&self, value: ValueId) -> bool {
        let buffer = self.buffer_of[value.0];
        self.buffer_of.iter().filter(|&&other| other == buffer).count() > 1
    }
}
