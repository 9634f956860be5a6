//! Compiled shaders, shared by all sessions on a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::gpu::shader::ShaderKey;

/// The pipelines of a device by shader, and by whether they have run-time checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipelines(Arc<Mutex<HashMap<(ShaderKey, bool), wgpu::ComputePipeline>>>);

impl Pipelines {
    fn locked(&self) -> MutexGuard<'_, HashMap<(ShaderKey, bool), wgpu::ComputePipeline>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn get(&self, key: &(ShaderKey, bool)) -> Option<wgpu::ComputePipeline> {
        self.locked().get(key).cloned()
    }

    pub(super) fn insert(&self, key: (ShaderKey, bool), pipeline: wgpu::ComputePipeline) {
        self.locked().insert(key, pipeline);
    }
}
