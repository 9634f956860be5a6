//! `--precision`.

use clap::ValueEnum;
use doconv::Precision;

/// How numbers are stored on a GPU, and what convolutions compute with.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PrecisionName {
    /// Single precision everywhere
    #[default]
    F32,
    /// Feature maps and kernels take half the memory, with 3 digits; sums are single precision
    F16Storage,
    /// Convolutions also multiply and add in half precision, 16 products at a time
    F16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::F16Storage => Precision::F16Storage,
            PrecisionName::F16 => Precision::F16,
        }
    }
}

/// ` in f16`, to follow the mode; nothing where it is what everybody expects.
pub fn words(precision: Precision) -> String {
    match precision {
        Precision::F32 => String::new(),
        half => format!(" in {}", half.name()),
    }
}
