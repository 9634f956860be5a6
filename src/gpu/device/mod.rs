//! Open devices: adapters and their limits, compiled shaders, submissions, and what is known of a device.

mod adapters;
mod bindings;
#[cfg(target_arch = "wasm32")]
mod browser;
mod compile;
#[allow(clippy::module_inception)] // The folder's main type.
mod device;
#[cfg(not(target_arch = "wasm32"))]
mod disk_cache;
mod pipelines;
mod suballocator;
mod submission;
#[cfg_attr(target_arch = "wasm32", path = "timestamps_in_browsers.rs")]
mod timestamps;
mod tuning;
mod verified;

pub(crate) use adapters::{Found, find};
pub use device::Device;
pub(in crate::gpu) use suballocator::{Layout, Region};
#[cfg(training)]
pub(in crate::gpu) use submission::Submitted;
pub use tuning::{TuneEvent, TuneListener};
