//! Convolutions: the kernels that there are, and how a convolution becomes dispatches of one of them.

mod bindings;
mod depthwise;
mod depthwise_tiled;
mod direct;
#[cfg(not(target_arch = "wasm32"))]
mod families;
mod feature;
mod grouped;
mod kernel;
mod lower;
#[cfg(not(target_arch = "wasm32"))]
mod matrix;
mod names;
mod problem;
mod search_space;
mod select;
mod split;
mod subgroup;
mod table;
mod tiled;
mod tiles;
mod winograd;

#[cfg(not(target_arch = "wasm32"))]
pub use families::families;
pub use feature::{FusedPair, lower_pair};
pub use lower::lower;
#[cfg(not(target_arch = "wasm32"))]
pub use matrix::{MATRIX_PIXELS, MATRIX_SIDE};
pub use search_space::search_space;
pub use select::{KernelLayouts, can_run, winograd_tiles};
pub use table::KERNELS;
pub use winograd::transform;
