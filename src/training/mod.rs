//! Training: a network's parameters follow the gradient of a loss, on a GPU or on the CPU.
//!
//! A [`Trainer`] replays a plan whose run is one step: parameters are loaded into kernels (and W and D composed), the network
//! runs forward and backward, and the optimiser changes all parameters at once. Everything stays on the device; what is read
//! back, and when, is the caller's affair. [`TrainingLoop`] runs epochs over a [`data::DataSet`], with checkpoints.

mod classifier_head;
#[cfg(feature = "cli")]
mod comparison;
#[cfg(feature = "datasets")]
pub mod data;
mod fine_tune;
mod optimiser;
mod schedule;
mod trainer;
#[cfg(feature = "datasets")]
mod training_loop;
mod weight_init;

pub use crate::plan::Decay;
pub use classifier_head::{adapt_input, doconv_head, head, last_map, with_classes};
#[cfg(feature = "cli")]
pub use comparison::{Comparison, Kind, Run, Spread};
pub use fine_tune::{Accuracy, FineTuneOptions, FineTuned, FineTuner, Progress};
pub use optimiser::Optimiser;
pub use schedule::Schedule;
pub use trainer::{Options, Totals, Trainer, targets};
#[cfg(feature = "datasets")]
pub use training_loop::{Advance, Checkpoint, Epoch, Settings, TrainingLoop};

/// Puts things in random order, every order as likely as any other.
fn shuffle<T>(things: &mut [T], random: &mut oorandom::Rand64) {
    for last in (1..things.len()).rev() {
        things.swap(last, random.rand_range(0..last as u64 + 1) as usize);
    }
}
