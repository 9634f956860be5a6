//! Tasks of this repository, and what they share.

pub mod environment;
pub mod hardware;
mod libraries;
pub mod onnx;
mod package;
pub mod packages;
mod python;
pub mod setup;
pub mod shader_stats;
pub mod step;
pub mod test;
pub mod toolchain;
pub mod vulkan;
pub mod web;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the workspace").to_path_buf()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}
