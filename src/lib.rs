//! DO-Conv on WebGPU.
#![warn(missing_docs)]

pub mod doconv;
mod error;
pub mod formats;
pub mod image;
mod model;
pub mod network;
mod tensor;

pub use error::{Error, Result};
pub use formats::Dtype;
pub use image::Image;
pub use model::{Model, Weights};
pub use network::Network;
pub use tensor::Tensor;
