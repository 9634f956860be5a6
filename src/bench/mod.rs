//! The benchmark: well-known layers and whole networks, what DO-Conv costs, and what the adapter can do at most, timed on
//! an adapter, every result checked there.
//!
//! [`run`] is all that the command line and a web page need; [`Record`] is what they keep. A suite is a list of cases
//! (`cases.rs`, `layers.rs`, `peak.rs`), and what is made of one on an adapter (`prepared_case.rs`, `microbench.rs`) can be run again and
//! again. What it is timed with (`sampling.rs`), summed up with (`statistics.rs`) and judged by (`check.rs`) knows nothing of suites.
//! `report` shows records side by side.

mod cases;
mod check;
mod layers;
#[cfg_attr(target_arch = "wasm32", path = "microbench_wasm.rs")]
mod microbench;
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
mod peak;
mod prepared_case;
mod record;
#[cfg(feature = "cli")]
pub mod report;
mod runner;
mod sampling;
pub(crate) mod statistics;
mod suite;

pub use check::Expected;
pub use record::{CaseResult, Check, Environment, Measurement, Outcome, Record, SCHEMA, Settings};
pub use runner::{Options, Progress, run};
pub use suite::Suite;
