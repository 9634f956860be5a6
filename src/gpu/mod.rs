//! Running a plan on a GPU through wgpu, natively and in the browser.
//!
//! The way of the data: a [`Plan`](crate::plan::Plan) and a batch size become [`dispatch::Dispatch`]es, purely; the
//! [`Executor`] makes their shaders, buffers and bind groups once and replays them.
//!
//! # Layout
//! Feature maps are channel-blocked, NCHW4: slices of four channels with one `vec4` per pixel (`shaders/common/map.wgsl`).
//! Against NHWC, neighbouring pixels are neighbours in memory whatever the channel count, so that invocations which lie
//! along pixels read contiguous memory; against NCHW, every load is a whole `vec4` at any stride and padding. Kernels
//! are HWIO with whole slices of outputs, so that four outputs' weights are one load; the same layout serves dense,
//! grouped and depthwise kernels, and the fold writes it directly.

mod arena;
#[cfg(target_arch = "wasm32")]
mod browser;
pub mod choice;
pub mod choose;
mod device;
pub mod dispatch;
mod executor;
#[cfg(not(target_arch = "wasm32"))]
mod kept;
pub mod layout;
pub mod params;
mod peak;
mod photographs;
mod pipelines;
mod ranking;
pub mod shader;
#[cfg_attr(target_arch = "wasm32", path = "stopwatch_in_browsers.rs")]
mod stopwatch;
mod submission;
mod templates;
#[cfg(training)]
pub mod training;
mod trust;
pub mod tuned;
pub mod variant;
pub use crate::winograd;

pub use device::{Device, Tier};
pub(crate) use device::{Found, find};
pub use executor::Executor;
pub(crate) use peak::Peak;
pub(crate) use photographs::Picture;
pub(crate) use ranking::{Best, MOST_RANKED, Ranking};
