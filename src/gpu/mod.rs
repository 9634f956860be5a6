//! Running a plan on a GPU through wgpu, natively and in the browser.
//!
//! Data flow: a [`Policy`](policy::Policy) and a batch size turn a [`Plan`](crate::plan::Plan) into a
//! [`Program`](program::Program), purely; its kernels are verified on the device; an [`Executor`] makes their
//! pipelines, buffers and bind groups once and replays them. `VerifiedExecutor` is all of this for any batch size.

mod autotune;
mod device;
mod executor;
pub mod kernels;
pub mod policy;
pub mod program;
pub mod shader;
mod verified_executor;
mod verify;

pub(crate) use autotune::tune;
pub use device::{Device, TuneEvent, TuneListener};
pub(crate) use device::{Found, find};
pub use executor::Executor;
pub(crate) use executor::{Best, ImageSource, MOST_RANKED, Peak, Ranking};
pub(crate) use verified_executor::VerifiedExecutor;
pub use verify::Fault;
