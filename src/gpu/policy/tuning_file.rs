//! Kernel configurations in files: JSON, so that people can read, share and edit them.
//!
//! ```json
//! {"schema":"doconv-tuning-1","adapters":[{"adapter":"NVIDIA GeForce RTX 4070","backend":"vulkan","driver":"NVIDIA 580",
//!   "dtype":"f32","layers":{"3x3-64-64@56x56":"f4 direct 16x2 8x4"}}]}
//! ```
//!
//! Layers are named as in [`layer`](super::layer), configurations written as [`KernelConfig`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KernelConfig, TuningTable};
use crate::adapter_info::AdapterInfo;
use crate::{Error, Precision, Result};

/// What such a file begins with.
pub const SCHEMA: &str = "doconv-tuning-1";

/// What was timed elsewhere, so that nobody has to wait: of ResNet-18 and 50, MobileNet v2, EfficientNet-Lite0 and the layers of
/// the benchmark, what is 10 % faster than heuristics. On lavapipe nothing is by so much that it would pay for one more shader.
#[cfg(not(target_arch = "wasm32"))]
const SHIPPED: &str = include_str!("shipped.json");

/// Kernel configurations for any number of adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningFile {
    schema: String,
    adapters: Vec<Entry>,
}

/// Those of one adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    adapter: String,
    backend: String,
    driver: String,
    /// How the network's numbers are stored and computed with: the name of a [`Precision`].
    dtype: String,
    layers: BTreeMap<String, String>,
}

impl Default for TuningFile {
    fn default() -> Self {
        Self { schema: SCHEMA.into(), adapters: vec![] }
    }
}

impl TuningFile {
    /// Reads JSON.
    ///
    /// # Errors
    /// [`Error::Tuning`] if it is none, or of another schema.
    pub fn parse(json: &str) -> Result<Self> {
        let wrong = |reason: String| Error::Tuning { reason };
        let stored: Self = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        match stored.schema == SCHEMA {
            true => Ok(stored),
            false => Err(wrong(format!("its schema is `{}`, and `{SCHEMA}` is expected", stored.schema))),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // A map with keys that are strings, and nothing that is not finite: there is nothing to fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The configurations for an adapter with its present driver in a precision. Those that this version cannot read are left out.
    pub fn of(&self, info: &AdapterInfo, precision: Precision) -> TuningTable {
        table(self.adapters.iter().filter(|entry| entry.is_of(info, precision)))
    }

    /// Puts these configurations in place of those that an adapter has in a precision.
    pub fn put(&mut self, info: &AdapterInfo, precision: Precision, tuned: &TuningTable) {
        let layers = tuned.iter().map(|(layer, config)| (layer.into(), config.to_string())).collect();
        match self.adapters.iter_mut().find(|entry| entry.is_of(info, precision)) {
            Some(entry) => entry.layers = layers,
            None => {
                let AdapterInfo { name, backend, driver, .. } = info.clone();
                let dtype = precision.name().into();
                self.adapters.push(Entry { adapter: name, backend, driver, dtype, layers });
            }
        }
    }
}

impl Entry {
    fn is_of(&self, info: &AdapterInfo, precision: Precision) -> bool {
        (&self.adapter, &self.backend, &self.driver) == (&info.name, &info.backend, &info.driver)
            && self.dtype == precision.name()
    }

    /// What is shipped is for a kind of adapter, of which it has a part of the name, whatever the driver; and for single
    /// precision, in which devices are opened.
    #[cfg(not(target_arch = "wasm32"))]
    fn is_for(&self, info: &AdapterInfo) -> bool {
        info.name.to_lowercase().contains(&self.adapter) && self.dtype == Precision::F32.name()
    }
}

fn table<'a>(entries: impl Iterator<Item = &'a Entry>) -> TuningTable {
    let mut tuned = TuningTable::default();
    for (layer, text) in entries.flat_map(|entry| &entry.layers) {
        match text.parse::<KernelConfig>() {
            Ok(config) => tuned.insert(layer, config),
            Err(()) => log::info!("{layer}: `{text}` is no configuration that this version knows"),
        }
    }
    tuned
}

/// In a browser nothing is: of the adapters that people have there, none was timed.
#[cfg(target_arch = "wasm32")]
pub(in crate::gpu) fn shipped(_: &AdapterInfo) -> TuningTable {
    TuningTable::default()
}

/// What is known of an adapter's kind without having timed anything.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::gpu) fn shipped(info: &AdapterInfo) -> TuningTable {
    match TuningFile::parse(SHIPPED) {
        Ok(stored) => table(stored.adapters.iter().filter(|entry| entry.is_for(info))),
        Err(error) => {
            log::error!("the configurations that are shipped: {error}");
            TuningTable::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter_info::AdapterKind;

    fn info(name: &str, driver: &str) -> AdapterInfo {
        AdapterInfo {
            name: name.into(),
            backend: "vulkan".into(),
            driver: driver.into(),
            kind: AdapterKind::Discrete,
            features: vec![],
            limits: Default::default(),
            vendor: None,
            architecture: None,
        }
    }

    fn tuned(layers: &[(&str, &str)]) -> TuningTable {
        let mut tuned = TuningTable::default();
        layers.iter().for_each(|(layer, config)| tuned.insert(layer, config.parse().unwrap()));
        tuned
    }

    #[test]
    fn every_adapter_driver_and_precision_has_its_own() {
        let mut stored = TuningFile::default();
        let (first, second) = (tuned(&[("a", "direct 4x2 8x4")]), tuned(&[("a", "tiled 8x2 8x8 /2")]));
        stored.put(&info("one", "1"), Precision::F32, &first);
        stored.put(&info("two", "1"), Precision::F32, &second);
        let read = TuningFile::parse(&stored.to_json()).unwrap();
        assert_eq!(read, stored);
        assert_eq!(
            (read.of(&info("one", "1"), Precision::F32), read.of(&info("two", "1"), Precision::F32)),
            (first, second.clone())
        );
        assert_eq!(read.of(&info("one", "2"), Precision::F32), TuningTable::default());
        stored.put(&info("one", "1"), Precision::F32, &second);
        assert_eq!(stored.of(&info("one", "1"), Precision::F32), second);
        let half = tuned(&[("a", "direct 8x2 8x4")]);
        stored.put(&info("one", "1"), Precision::F16, &half);
        let of = |precision| stored.of(&info("one", "1"), precision);
        assert_eq!(Precision::ALL.map(of), [second, TuningTable::default(), half]);
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_broken_is_said() {
        let json = r#"{"schema":"doconv-tuning-1","adapters":[{"adapter":"a","backend":"vulkan","driver":"1","dtype":"f32",
            "layers":{"x":"holographic 3","y":"direct 4x2 8x4"}}]}"#;
        assert_eq!(
            TuningFile::parse(json).unwrap().of(&info("a", "1"), Precision::F32),
            tuned(&[("y", "direct 4x2 8x4")])
        );
        assert!(TuningFile::parse("{").unwrap_err().to_string().contains("line 1"));
        let other = json.replace("tuning-1", "tuning-2");
        assert!(TuningFile::parse(&other).unwrap_err().to_string().contains("doconv-tuning-2"));
    }

    #[test]
    fn what_is_shipped_can_be_read() {
        let stored = TuningFile::parse(SHIPPED).unwrap();
        for entry in &stored.adapters {
            assert_eq!(entry.adapter, entry.adapter.to_lowercase());
            assert_eq!(table(std::iter::once(entry)).iter().count(), entry.layers.len(), "{}", entry.adapter);
        }
    }
}
