//! What is known of a device's kernels: which compute what they should, and which were found not to.

use std::sync::{Arc, Mutex, MutexGuard};

use super::choose::{Algorithm, Algorithms};
use super::shader::Shader;

/// Shared by all sessions on a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By shader, and by whether it has run-time checks.
    right: Vec<(Shader, bool)>,
    distrusted: Algorithms,
}

impl Trust {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn is_right(&self, shader: Shader, checks: bool) -> bool {
        self.known().right.contains(&(shader, checks))
    }

    pub(super) fn found_right(&self, shader: Shader, checks: bool) {
        self.known().right.push((shader, checks));
    }

    pub(super) fn distrusted(&self) -> Algorithms {
        self.known().distrusted
    }

    /// Says whether that is news.
    pub(super) fn distrust(&self, algorithm: Algorithm) -> bool {
        self.known().distrusted.insert(algorithm)
    }
}
