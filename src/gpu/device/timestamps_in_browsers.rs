//! Browsers have no timestamps within a submission: this type has no values.

use std::time::Duration;

use super::device::Device;
use crate::Result;

/// There is none.
pub(super) enum Timestamps {}

impl Device {
    pub(super) fn timestamps(&self) -> Option<Timestamps> {
        None
    }
}

impl Timestamps {
    pub(super) fn start(&self, _: &mut wgpu::CommandEncoder) {
        match *self {}
    }

    pub(super) fn stop(&self, _: &mut wgpu::CommandEncoder) {
        match *self {}
    }

    pub(super) async fn read(&self, _: &Device) -> Result<Option<Duration>> {
        match *self {}
    }
}
