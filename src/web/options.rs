//! What callers may ask for, as plain objects.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use crate::bench::Suite;
use crate::network::Preprocess;
use crate::{Error, Mode, Result, Selector};

/// Without `onTuning`, which is a function.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LoadOptions {
    pub(super) adapter: AdapterChoice,
    pub(super) tune: TuneChoice,
    pub(super) mode: Mode,
    pub(super) name: Option<String>,
    pub(super) preprocess: Option<String>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) expand: bool,
    pub(super) threads: Option<u32>,
    /// Read by itself; here so that it is known.
    #[serde(rename = "onTuning")]
    pub(super) _on_tuning: serde::de::IgnoredAny,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClassifyOptions {
    pub(super) top_k: Option<usize>,
    pub(super) mode: Option<Mode>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CompareOptions {
    pub(super) repeat: Option<usize>,
}

/// Without `onProgress`, which is a function.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BenchmarkOptions {
    pub(super) adapter: AdapterChoice,
    pub(super) tune: TuneChoice,
    pub(super) name: Option<String>,
    pub(super) suites: Option<Vec<Suite>>,
    pub(super) filter: String,
    pub(super) budget_ms: Option<f64>,
}

/// Without `onProgress`, which is a function.
#[cfg(feature = "web-teach")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TeachOptions {
    pub(super) last_block: bool,
    pub(super) seed: u64,
}

/// Which adapter computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AdapterChoice {
    /// WebGPU on hardware, else the CPU path.
    #[default]
    Auto,
    /// WebGPU, even where shaders run on the CPU.
    Webgpu,
    /// The CPU path.
    Cpu,
}

/// Where the choice of kernels comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TuneChoice {
    /// Heuristics.
    Off,
    /// What was timed, here or elsewhere.
    #[default]
    Load,
    /// What is timed now, and remembered.
    Full,
}

impl AdapterChoice {
    pub(super) fn selector(self) -> Selector {
        match self {
            Self::Auto => Selector::Auto,
            // The only one that a browser offers.
            Self::Webgpu => Selector::Named("0".into()),
            Self::Cpu => Selector::Named("cpu".into()),
        }
    }
}

/// Reads an options object; an absent one is all defaults.
pub(super) fn read<T: DeserializeOwned + Default>(value: JsValue) -> Result<T> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    serde_wasm_bindgen::from_value(value).map_err(|error| Error::Unsupported(format!("options: {error}")))
}

/// A preset for models that do not describe their preprocessing.
pub(super) fn preset(name: &str) -> Result<Preprocess> {
    Preprocess::preset(name).ok_or_else(|| {
        let known = Preprocess::PRESETS.join(", ");
        Error::Unsupported(format!("options: there is no preprocessing `{name}`, only: {known}"))
    })
}
