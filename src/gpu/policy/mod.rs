//! What decides how kernels run: an immutable policy, kernel configurations, and the table of those that were timed.

mod kernel_config;
#[allow(clippy::module_inception)] // The folder's main type.
mod policy;
mod tuning_file;
mod tuning_table;

pub use kernel_config::{KernelConfig, Tile};
pub use policy::{Policy, Tier};
pub(in crate::gpu) use tuning_file::shipped;
pub use tuning_file::{SCHEMA, TuningFile};
pub use tuning_table::{TuningTable, layer};
