//! DO-Conv on WebGPU.
#![warn(missing_docs)]

pub mod cpu;
pub mod doconv;
mod error;
mod model;
mod model_stub;
pub mod network;
pub mod plan;
mod tensor;

pub use error::{Error, Result};
pub use model::{Model, Weights};
pub use network::Network;
pub use tensor::Tensor;
