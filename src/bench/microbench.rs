//! Microbenchmarks: composing kernels, and the peak rates of an adapter.

use std::time::Duration;

use web_time::Instant;

use super::Check;
use super::cases::{Case, Subject};
use super::check::Expected;
use super::peak::Peak;
use super::sampling::elapsed_ms;
use crate::gpu::shader::Scalar;
use crate::plan::Plan;
use crate::session::Folding;
use crate::{Adapter, Error, Precision, Result};

/// A microbenchmark, ready to be timed.
pub(super) enum Microbenchmark {
    Fold { folding: Folding, expected: Expected, bytes: u64, kernel: &'static str, precision: Precision },
    Peak(Box<Peak>),
}

impl Microbenchmark {
    /// Made ready, and how many milliseconds that took.
    pub async fn new(adapter: &Adapter, case: &Case<'_>) -> Result<(Self, f64)> {
        match case.subject {
            Subject::Fold(source) => {
                let model = source.model()?;
                let start = Instant::now();
                let plan = Plan::folding(&model)?;
                let folding = Folding::load(adapter, &plan).await?;
                let setup_ms = elapsed_ms(start);
                let kernel = if adapter.gpu().is_some() { "compose" } else { "cpu" };
                // As it is now that the kernels were checked.
                let precision = adapter.precision();
                let bytes = plan.folding_traffic(Scalar::stored_in(precision).bytes() as u64);
                let expected = Expected::of_folding(&plan, precision)?;
                Ok((Self::Fold { folding, expected, bytes, kernel, precision }, setup_ms))
            }
            Subject::Peak(ceiling) => {
                let start = Instant::now();
                let peak = Peak::new(adapter, ceiling).await?;
                Ok((Self::Peak(Box::new(peak)), elapsed_ms(start)))
            }
            Subject::Run(_) => {
                Err(Error::Unsupported(format!("{}: a run of a network is not a microbenchmark", case.name)))
            }
        }
    }

    pub fn macs(&self, case: &Case<'_>) -> Result<u64> {
        match self {
            Self::Fold { .. } => case.macs(),
            Self::Peak(peak) => Ok(peak.macs),
        }
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Self::Fold { bytes, .. } => *bytes,
            Self::Peak(peak) => peak.bytes,
        }
    }

    pub fn kernels(&self) -> Vec<String> {
        vec![match self {
            Self::Fold { kernel, .. } => (*kernel).into(),
            Self::Peak(peak) => peak.kernel().into(),
        }]
    }

    pub fn precision(&self) -> Precision {
        match self {
            Self::Fold { precision, .. } => *precision,
            Self::Peak(_) => Precision::F32,
        }
    }

    /// The time of so many runs.
    pub async fn time(&mut self, repeats: usize) -> Result<Duration> {
        match self {
            Self::Fold { folding, .. } => folding.repeat(repeats).await,
            Self::Peak(peak) => peak.time(repeats).await,
        }
    }

    /// Whether the last run was right.
    pub async fn check(&mut self) -> Result<Check> {
        match self {
            Self::Fold { folding, expected, .. } => Ok(expected.check(&folding.kernels().await?)),
            Self::Peak(peak) => peak.check().await,
        }
    }
}
