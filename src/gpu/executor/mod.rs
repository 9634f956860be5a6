//! Replaying programs on a device: buffers, bind groups, submissions, and what goes in and comes out.

mod command;
#[allow(clippy::module_inception)] // The folder's main type.
mod executor;
mod limits;
mod peak;
mod prepared;
mod preprocess;
mod ranking;
mod repeat;
#[cfg(training)]
mod states;
mod top_k;
mod weights;

pub use executor::Executor;
pub(in crate::gpu) use limits::{check_fits, most_images};
pub(crate) use peak::Peak;
pub(crate) use preprocess::ImageSource;
pub(crate) use ranking::{Best, MOST_RANKED, Ranking};
