//! What is known of a device's kernels: which compute what they should, and which were found not to.

use std::sync::{Arc, Mutex, MutexGuard};

use super::choose::{Algorithm, Algorithms};
use super::variant::Variant;
use crate::Precision;

/// Shared by all sessions on a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By shader, and by whether it has run-time checks.
    right: Vec<(Variant, bool)>,
    distrusted: Algorithms,
    distrusted_precisions: Vec<Precision>,
}

impl Trust {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn is_right(&self, shader: Variant, checks: bool) -> bool {
        self.known().right.contains(&(shader, checks))
    }

    pub(super) fn found_right(&self, shader: Variant, checks: bool) {
        self.known().right.push((shader, checks));
    }

    pub(super) fn distrusted(&self) -> Algorithms {
        self.known().distrusted
    }

    /// Says whether that is news.
    pub(super) fn distrust(&self, algorithm: Algorithm) -> bool {
        self.known().distrusted.insert(algorithm)
    }

    /// A precision, or single precision where that was found to be wrong.
    pub(super) fn precision(&self, wanted: Precision) -> Precision {
        let is_right = wanted == Precision::F32 || !self.known().distrusted_precisions.contains(&wanted);
        if is_right { wanted } else { Precision::F32 }
    }

    /// Says whether there is another to fall back on.
    pub(super) fn distrust_precision(&self, precision: Precision) -> bool {
        if precision == Precision::F32 {
            return false;
        }
        let known = &mut self.known().distrusted_precisions;
        let is_news = !known.contains(&precision);
        if is_news {
            known.push(precision);
        }
        is_news
    }
}
