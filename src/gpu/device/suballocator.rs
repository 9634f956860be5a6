//! Many read-only tensors in few buffers.

use super::device::Device;
use crate::Result;

/// Offsets of bindings are multiples of this on every adapter.
const ALIGNMENT: u64 = 256;

/// Where a tensor lies.
#[derive(Clone, Copy, Debug)]
pub(in crate::gpu) struct Region {
    pub buffer: usize,
    pub offset: u64,
    pub size: u64,
}

/// Lays tensors out before any buffer is made, so that every buffer is made once and at its final size.
#[derive(Debug, Default)]
pub(in crate::gpu) struct Layout {
    sizes: Vec<u64>,
}

impl Layout {
    /// Reserves room for `bytes`, in the last buffer where it has room.
    pub fn place(&mut self, device: &Device, what: &str, bytes: u64) -> Result<Region> {
        device.check_binding(what, bytes)?;
        let room = device.device.limits().max_buffer_size;
        let used = self.sizes.last().map(|size| size.next_multiple_of(ALIGNMENT));
        let offset = match used {
            Some(used) if used + bytes <= room => used,
            _ => {
                self.sizes.push(0);
                0
            }
        };
        let buffer = self.sizes.len() - 1;
        self.sizes[buffer] = offset + bytes;
        Ok(Region { buffer, offset, size: bytes })
    }

    /// Makes the buffers.
    pub async fn create(&self, device: &Device, label: &str, usage: wgpu::BufferUsages) -> Result<Vec<wgpu::Buffer>> {
        device
            .checked(&format!("making room for {label}"), || {
                let make = |&size: &u64| {
                    device.device.create_buffer(&wgpu::BufferDescriptor {
                        label: Some(label),
                        size: size.max(16).next_multiple_of(16),
                        usage,
                        mapped_at_creation: false,
                    })
                };
                self.sizes.iter().map(make).collect()
            })
            .await
    }
}

impl Region {
    /// The binding of a region of one of these buffers.
    pub fn bind<'a>(&self, buffers: &'a [wgpu::Buffer]) -> wgpu::BindingResource<'a> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &buffers[self.buffer],
            offset: self.offset,
            size: wgpu::BufferSize::new(self.size),
        })
    }
}
