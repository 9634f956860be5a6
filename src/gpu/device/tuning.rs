//! The kernel configurations of a device, and who is told when more are timed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::gpu::policy::{KernelConfig, TuningTable};

/// What somebody who waits for autotuning is told.
#[derive(Clone, Copy, Debug)]
pub enum TuneEvent<'a> {
    /// Something is about to be timed.
    Step {
        /// The layer, such as `3x3s2-64-128@28x28`; of the whole network, the layer that is in question there.
        label: &'a str,
        /// Layers that are done.
        done: usize,
        /// Layers altogether.
        total: usize,
    },
    /// A network is done.
    Finished {
        /// All configurations that were timed on this machine by now, in the precision of the adapter: what is to be kept.
        tuned: &'a TuningTable,
        /// Layers that were timed.
        layers: usize,
        /// The time of one run of the whole network before and afterwards, in milliseconds.
        network_ms: [f64; 2],
    },
}

/// Who is told.
#[cfg(not(target_arch = "wasm32"))]
type Callback = dyn Fn(TuneEvent<'_>) + Send + Sync;
#[cfg(target_arch = "wasm32")]
type Callback = dyn Fn(TuneEvent<'_>);

/// A function that is told how autotuning goes on.
#[derive(Clone)]
pub struct TuneListener(Arc<Callback>);

impl TuneListener {
    /// Wraps a function.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(callback: impl Fn(TuneEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Wraps a function.
    #[cfg(target_arch = "wasm32")]
    #[allow(clippy::arc_with_non_send_sync)] // One type for all platforms; a browser's module has one thread.
    pub fn new(callback: impl Fn(TuneEvent<'_>) + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Tells it.
    pub(in crate::gpu) fn tell(&self, event: TuneEvent<'_>) {
        (self.0)(event);
    }
}

impl fmt::Debug for TuneListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TuneListener")
    }
}

/// The configurations of a device, shared by all sessions on it, and whether it looks for more.
#[derive(Clone, Debug, Default)]
pub(super) struct Tuning {
    state: Arc<Mutex<State>>,
    pub(super) listener: Option<TuneListener>,
}

#[derive(Clone, Debug, Default)]
struct State {
    known: TuningTable,
    /// Layers that were timed on this machine, and need not be again.
    timed: Vec<String>,
}

impl Tuning {
    /// With configurations that were timed elsewhere.
    pub(super) fn new(shipped: TuningTable) -> Self {
        Self { state: Arc::new(Mutex::new(State { known: shipped, timed: vec![] })), listener: None }
    }

    /// The same with configurations that were timed here; clones of the device that were made before keep what they have.
    pub(super) fn with(&self, timed: &TuningTable) -> Self {
        let state = Arc::new(Mutex::new(self.state().clone()));
        let tuning = Self { state, listener: self.listener.clone() };
        timed.iter().for_each(|(layer, config)| tuning.found_best(layer, config));
        tuning
    }

    /// The same without any.
    pub(super) fn without_choices(&self) -> Self {
        Self { state: Arc::default(), listener: self.listener.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn known(&self) -> TuningTable {
        self.state().known.clone()
    }

    /// Without those that came with the library.
    pub(super) fn timed(&self) -> TuningTable {
        let state = self.state();
        let is_timed = |(layer, _): &(&str, KernelConfig)| state.timed.iter().any(|timed| timed == layer);
        state.known.iter().filter(is_timed).map(|(layer, config)| (layer.to_string(), config)).collect()
    }

    pub(super) fn is_timed(&self, layer: &str) -> bool {
        self.state().timed.iter().any(|timed| timed == layer)
    }

    pub(super) fn found_best(&self, layer: &str, config: KernelConfig) {
        let mut state = self.state();
        state.known.insert(layer, config);
        state.timed.push(layer.into());
    }
}
