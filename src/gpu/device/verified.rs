//! What was found out about a device's kernels: which were compared with the CPU path and are right, and what is wrong.
//!
//! These are facts, which loads only add to. What a load runs with is its own [`Policy`](crate::gpu::policy::Policy), so loads that
//! run at once cannot change each other's kernels.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::Precision;
use crate::gpu::shader::ShaderKey;

/// Shared by all sessions on a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    /// By shader, and by whether it has run-time checks.
    right: HashSet<(ShaderKey, bool)>,
    excluded: Vec<&'static str>,
    excluded_precisions: Vec<Precision>,
}

impl Verified {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn is_right(&self, shader: &ShaderKey, checks: bool) -> bool {
        self.facts().right.contains(&(shader.clone(), checks))
    }

    pub(super) fn found_right(&self, shader: &ShaderKey, checks: bool) {
        self.facts().right.insert((shader.clone(), checks));
    }

    pub(super) fn excluded(&self) -> Vec<&'static str> {
        self.facts().excluded.clone()
    }

    pub(super) fn exclude(&self, name: &'static str) {
        let excluded = &mut self.facts().excluded;
        if !excluded.contains(&name) {
            excluded.push(name);
        }
    }

    /// A precision, or single precision where that was found wrong.
    pub(super) fn precision(&self, wanted: Precision) -> Precision {
        let is_wrong = self.facts().excluded_precisions.contains(&wanted);
        if is_wrong { Precision::F32 } else { wanted }
    }

    pub(super) fn exclude_precision(&self, precision: Precision) {
        let excluded = &mut self.facts().excluded_precisions;
        if precision != Precision::F32 && !excluded.contains(&precision) {
            excluded.push(precision);
        }
    }
}
