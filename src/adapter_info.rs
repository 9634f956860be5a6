//! What is known of an adapter: its name, kind, driver, features and limits.

use serde::{Deserialize, Serialize};

/// What the adapter list says about one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterInfo {
    /// Such as `NVIDIA GeForce RTX 4070` or `cpu`.
    pub name: String,
    /// Such as `vulkan`, `metal`, `dx12`, `webgpu`, or `cpu`.
    pub backend: String,
    /// Driver and version as the platform tells them; may be empty.
    pub driver: String,
    /// What kind of thing computes.
    #[serde(rename = "type")]
    pub kind: AdapterKind,
    /// Optional WebGPU features that matter here.
    pub features: Vec<String>,
    /// WebGPU limits that matter here, by their WebGPU names; bytes or counts.
    pub limits: std::collections::BTreeMap<String, u64>,
    /// The maker as a browser tells it, such as `apple`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The family as a browser tells it, such as `metal-3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// What kind of thing computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A graphics card.
    Discrete,
    /// A GPU that shares memory with the CPU.
    Integrated,
    /// A GPU of unknown kind, such as a virtual one.
    Other,
    /// Shaders interpreted on the CPU: for tests, taken only by name.
    Software,
    /// This crate's own CPU code.
    Cpu,
}

impl AdapterKind {
    /// Whether it is a real GPU.
    pub fn is_hardware(self) -> bool {
        matches!(self, Self::Discrete | Self::Integrated | Self::Other)
    }
}
