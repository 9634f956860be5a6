//! Timestamps of a GPU's own clock, which sees neither the driver nor the way to it.

use std::time::Duration;

use super::adapters::TIMESTAMPS;
use super::device::Device;
use crate::Result;
use crate::gpu::policy::Tier;

/// Bytes of its two timestamps.
const BYTES: u64 = 16;

/// Two moments on a device.
pub(super) struct Timestamps {
    moments: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl Device {
    /// None where the device has no such clock, and on software adapters, of which it is the computer's.
    pub(super) fn timestamps(&self) -> Option<Timestamps> {
        if self.policy().tier == Tier::Software || !self.device.features().contains(TIMESTAMPS) {
            return None;
        }
        let buffer = |usage| {
            let (label, size) = (Some("timestamps"), BYTES);
            self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        let (label, ty) = (Some("timestamps"), wgpu::QueryType::Timestamp);
        Some(Timestamps {
            moments: self.device.create_query_set(&wgpu::QuerySetDescriptor { label, ty, count: 2 }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readback: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
        })
    }
}

impl Timestamps {
    pub(super) fn start(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.write_timestamp(&self.moments, 0);
    }

    pub(super) fn stop(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.write_timestamp(&self.moments, 1);
        encoder.resolve_query_set(&self.moments, 0..2, &self.resolved, 0);
    }

    /// The time in between, once all is done; none where the clock stood still.
    pub(super) async fn read(&self, device: &Device) -> Result<Option<Duration>> {
        let copy = |encoder: &mut wgpu::CommandEncoder| {
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readback, 0, BYTES);
        };
        let take = |bytes: &[u8]| -> Vec<u64> { bytemuck::pod_collect_to_vec(bytes) };
        let moments = device.submit_and_read("reading the clock", &self.readback, copy, take).await?;
        let ticks = moments[1].saturating_sub(moments[0]);
        let nanoseconds = ticks as f64 * f64::from(device.queue.get_timestamp_period());
        Ok((ticks > 0).then(|| Duration::from_secs_f64(nanoseconds / 1e9)))
    }
}
