//! DO-Conv (depthwise over-parameterized convolution) on WebGPU, natively and in the browser.
//!
//! DO-Conv trains a convolution as the product of two kernels, D and W, and folds them into one ordinary kernel for
//! inference: more accuracy, no extra cost (Cao et al., 2020). This crate reads such networks, folds them, and runs
//! them composed or folded: with WGSL compute shaders on any GPU, or on the CPU.
//!
//! # Where to begin
//! - [`Session`] runs a [`Model`] on an [`Adapter`]; its example classifies an image. [`blocking`] is the same
//!   without async.
//! - A program with a wgpu device of its own: [`Adapter::from_wgpu`], and `Session::classify_textures` for what it draws.
//! - Inputs and results by name: [`Session::run_named`]; values within a network: `Model::with_outputs`; similar images:
//!   `Model::embedding` and [`Session::embed`].
//! - What callers handle differently is a variant of [`enum@Error`].
//! - [`network`] describes networks, [`network::zoo`] builds well-known ones, [`formats`] reads and writes files.
//! - [`doconv`](mod@doconv) folds and expands kernels; a [`Layer`] is one DO-Conv layer with its gradients.
//! - [`training`](mod@training) trains networks, composed or plain.
//! - [`plan`] is what lies between a model and the executors in [`gpu`] and [`cpu`]; [`reference`](mod@reference) says
//!   what they should compute.
//!
//! # Features
//! - `image`: decoding JPEG, PNG, WebP, BMP and GIF.
//! - `bundled-model`: two networks inside the library, for ImageNet and for CIFAR-10: [`Model::bundled`], [`Bundled`].
//! - `checkpoints`: reading PyTorch's `.pth` and `.pt`, and NumPy's `.npz`; see [`formats::StateDict`].
//! - `datasets`: data sets for training; see [`training::data`].
//! - `web`: the JavaScript interface, when built for the browser; it reads ONNX files through a module of its own,
//!   `web-onnx`.
//! - `cli`: what the command line needs, `bench::report` among it.
#![warn(missing_docs)]

mod adapter;
mod adapter_info;
pub mod bench;
#[cfg(not(target_arch = "wasm32"))]
pub mod blocking;
#[cfg(feature = "bundled-model")]
mod bundled;
pub mod cpu;
pub mod doconv;
mod error;
pub mod formats;
pub mod gpu;
pub mod image;
mod layer;
mod load_times;
mod model;
pub mod network;
pub mod plan;
mod precision;
pub mod reference;
mod session;
mod tensor;
#[cfg(training)]
pub mod training;
#[cfg(not(target_arch = "wasm32"))]
pub mod verification;
#[cfg(all(target_arch = "wasm32", feature = "web"))]
mod web;
#[cfg(all(target_arch = "wasm32", feature = "web-onnx"))]
mod web_onnx;
pub mod winograd;

pub use adapter::{Adapter, Selector};
pub use adapter_info::{AdapterInfo, AdapterKind};
#[cfg(feature = "bundled-model")]
pub use bundled::Bundled;
pub use error::{Error, Result};
pub use formats::Dtype;
pub use gpu::Fault;
pub use image::Image;
pub use layer::Layer;
pub use load_times::LoadTimes;
pub use model::{Model, Weights};
pub use network::Network;
pub use plan::Mode;
pub use precision::Precision;
pub use session::{Prediction, Repeated, Session};
pub use tensor::Tensor;
/// The version whose types [`Adapter::from_wgpu`] takes.
pub use wgpu;
