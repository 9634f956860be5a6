//! Verification of an adapter: every kernel in every specialisation, tier and precision against the f64 reference.
//!
//! This is what the owner of a GPU that nobody has tried runs first. A [`Suite`] is a list of small networks with random weights,
//! made without a device, which together run every shader family in all that it is specialised by. [`check`] runs one of them and
//! compares it with [`crate::reference`], element by element, by what rounding may do. Neither the on-disk cache nor any fallback
//! has a part in it: what is chosen is run, and what is wrong is reported. On the CPU path the same networks check its operators.
//!
//! Unlike the self-check of a load (`gpu::verify`), which compares the shaders of one network with the CPU path, this one knows
//! no network, and replaces nothing.

mod case;
mod cases;
mod check;
mod graph;
mod list;
mod suite;
mod summary;

pub use case::Case;
#[doc(hidden)]
pub use cases::training_networks;
pub use check::{Verdict, check, compile_ahead};
pub use suite::{Extent, Suite};
pub use summary::{Failure, KernelRow, Summary};
