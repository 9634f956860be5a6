//! Every operator once more, slow and obvious, in f64: for tests, and for checking an adapter.
//!
//! Nothing here shares code with the planner or the executors, so that a mistake in one of them shows up as a
//! difference; only the error of a Winograd convolution is estimated with the matrices in [`crate::winograd`]. [`run`] interprets
//! the network's own nodes; it knows no fusion, no batch-norm folding and no buffers.
//! [`run_with_error`] says besides how far a sound single-precision implementation may be off, and [`run_with_error_of`] one in
//! half precision.
//!
//! The operators are plain nested loops over a [`Map`]. They panic on shapes that [`Network::infer`] would refuse.
//!
//! [`Network::infer`]: crate::Network::infer

mod conv;
mod elementwise;
mod error_estimate;
mod gradient;
mod interpreter;
mod layout_ops;
mod map;
#[cfg(not(target_arch = "wasm32"))]
mod plan_interpreter;
mod pool;
mod resize;
mod rounding;
#[cfg(training)]
mod training;
mod winograd_error;

pub use conv::{conv_transpose2d, conv2d, effective_d, feature_composition, fold, linear};
pub use elementwise::{activation, batch_norm, binary, concat, flatten, log_softmax, lrn, softmax};
pub use error_estimate::{Estimate, run_with_error, run_with_error_of};
pub use gradient::{
    LayerGradients, bias_gradient, conv2d_input_gradient, conv2d_kernel_gradient, feature_composition_gradient,
    fold_gradient, kernel_composition_gradient,
};
pub use interpreter::run;
pub use layout_ops::{pad, reshape, slice, transpose};
pub use map::Map;
#[cfg(not(target_arch = "wasm32"))]
pub use plan_interpreter::{interpret_plan, interpret_training_step};
pub use pool::{avg_pool, global_avg_pool, global_max_pool, max_pool};
pub use resize::resize;
pub(crate) use rounding::{Rounding, SAFETY, UNIT, error_growth};
#[cfg(training)]
pub use training::{
    NormGradients, activation_gradient, avg_pool_gradient, batch_norm_gradient, batch_statistics, cross_entropy,
    cross_entropy_gradient, max_pool_gradient, reduce,
};
