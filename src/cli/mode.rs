//! `--mode`.

use clap::ValueEnum;
use doconv::Mode;

/// The form in which DO-Conv layers are run; all compute the same function.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ModeName {
    /// Kernels are composed once, when the model is loaded
    #[default]
    Folded,
    /// Kernels are composed anew for every run, as in training
    Kernel,
    /// The features are convolved with D, then with W
    Feature,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Folded => Mode::Folded,
            ModeName::Kernel => Mode::Kernel,
            ModeName::Feature => Mode::Feature,
        }
    }
}
