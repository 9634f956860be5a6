//! DO-Conv on WebGPU.
#![warn(missing_docs)]

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
pub mod blocking;
pub mod cpu;
pub mod doconv;
mod error;
pub mod formats;
pub mod gpu;
pub mod image;
mod model;
pub mod network;
pub mod plan;
mod session;
mod tensor;

pub use adapter::{Adapter, AdapterInfo, AdapterKind, Selector};
pub use error::{Error, Result};
pub use formats::Dtype;
pub use image::Image;
pub use model::{Model, Weights};
pub use network::Network;
pub use plan::Mode;
pub use session::{Prediction, Session};
pub use tensor::Tensor;
