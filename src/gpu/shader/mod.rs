//! What all GPU kernels are written with: keys of pipelines, templates, uniform blocks, memory layouts and dispatches. Nothing here
//! knows a particular kernel or an open device.

mod activation;
mod dispatch;
mod key;
mod layout;
mod params;
mod scalar;
mod templates;

pub use activation::ActivationClass;
pub use dispatch::{Dispatch, GridPart, MAX_GROUPS, Place, Resource};
pub use key::{Constant, Kernel, Precisions, ShaderKey};
pub use layout::{KernelLayout, has_zero_lanes, loaded, map_len, pack_d, pack_map, pack_w, slices, stored, unpack_map};
pub use params::UniformBlock;
pub(in crate::gpu) use params::params;
pub use scalar::Scalar;
