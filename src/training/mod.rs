//! Training: a network's parameters follow the gradient of a loss, on a GPU or on the CPU.
//!
//! A [`Trainer`] replays a plan whose run is one step: parameters are loaded into kernels (and W and D composed), the network
//! runs forward and backward, and the optimiser changes all parameters at once. Everything stays on the device; what is read
//! back, and when, is the caller's affair. A [`Course`] is the usual one: epochs over a [`data::DataSet`], with checkpoints.

#[cfg(feature = "cli")]
mod comparison;
#[cfg(feature = "datasets")]
mod course;
#[cfg(feature = "datasets")]
pub mod data;
mod head;
mod initial;
mod optimiser;
mod schedule;
mod teacher;
mod trainer;

pub use crate::plan::Decay;
#[cfg(feature = "cli")]
pub use comparison::{Comparison, Kind, Run, Spread};
#[cfg(feature = "datasets")]
pub use course::{Advance, Checkpoint, Course, Epoch, Settings};
pub use head::{adapt_input, doconv_head, head, last_map, with_classes};
pub use optimiser::Optimiser;
pub use schedule::Schedule;
pub use teacher::{Lesson, Progress, Score, Taught, Teacher};
pub use trainer::{Options, Totals, Trainer, targets};

/// Puts things in random order, every order as likely as any other.
fn shuffle<T>(things: &mut [T], random: &mut oorandom::Rand64) {
    for last in (1..things.len()).rev() {
        things.swap(last, random.rand_range(0..last as u64 + 1) as usize);
    }
}
