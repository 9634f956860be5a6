//! The JSON record: what was timed, where, how, and whether it was right. `docs/benchmarks.md` describes it for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::suite::Suite;
use crate::{AdapterInfo, Mode, Precision};

/// The name of this schema. Fields may be added under the same name; a change of what one means gets another.
pub const SCHEMA: &str = "doconv-bench-1";

/// All that a run of the benchmark found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of this crate.
    pub version: String,
    /// The commit that it was built from, where `DOCONV_COMMIT` told the compiler.
    pub commit: Option<String>,
    /// When the run began: UTC, RFC 3339, to the second.
    pub date: String,
    /// What it ran in.
    pub environment: Environment,
    /// What computed.
    pub adapter: AdapterInfo,
    /// How it was measured.
    pub settings: Settings,
    /// Whether somebody stopped it before all cases were done.
    pub stopped: bool,
    /// The cases that were finished, in the order in which they ran.
    pub results: Vec<CaseResult>,
}

/// What a benchmark ran in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Operating system and architecture, such as `linux x86_64`; in a browser, what that says.
    pub os: String,
    /// The browser and its version, where there is one.
    pub browser: Option<String>,
    /// Threads that the CPU path has.
    pub threads: usize,
}

impl Environment {
    /// This process. In a browser, put in what the browser says.
    pub fn here() -> Self {
        let os = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Self { os, browser: None, threads: crate::cpu::threads() }
    }
}

/// How was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The suites that were asked for.
    pub suites: Vec<Suite>,
    /// Only cases with this in their names ran; empty for all.
    pub filter: String,
    /// How numbers were to be stored and computed with; `f32` in older records and in those of browsers, which do not say it.
    #[serde(default)]
    #[cfg_attr(target_arch = "wasm32", serde(skip_serializing))]
    pub precision: Precision,
    /// What the time of a sample is of, in words.
    pub timed: String,
    /// The probability with which `ci95_ms` holds the median.
    pub confidence: f64,
    /// Sampling ends when both ends of the interval are within this fraction of the median …
    pub relative_bound: f64,
    /// … or so many milliseconds were spent on a case's warm-up and samples together.
    pub budget_ms: f64,
    /// Milliseconds of running before the first sample, at least.
    pub warm_up_ms: f64,
    /// Milliseconds that a sample takes, at least about: runs are put together until they take so long.
    pub min_sample_ms: f64,
    /// The smallest step of the clock that was seen, in milliseconds.
    pub timer_resolution_ms: f64,
    /// Choices of kernels that the adapter had, timed on it or shipped for its kind; with none, all are by heuristics. None
    /// on the CPU path, and in records of before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<usize>,
}

impl Settings {
    /// Warm-up at most, in milliseconds; a tenth of the budget where that is less.
    const WARM_UP_MS: f64 = 100.0;
    /// What a sample takes where the clock is fine.
    const MIN_SAMPLE_MS: f64 = 10.0;
    /// So many steps of the clock make a sample, so that it is known to one in a hundred.
    const STEPS_PER_SAMPLE: f64 = 100.0;

    pub(super) fn new(suites: Vec<Suite>, filter: &str, budget: Duration, timer_resolution_ms: f64) -> Self {
        let budget_ms = budget.as_secs_f64() * 1e3;
        Self {
            suites,
            filter: filter.into(),
            precision: Precision::F32,
            timed: "runs on inputs that are on the adapter; uploading, reading back and checking are outside".into(),
            confidence: 0.95,
            relative_bound: 0.05,
            budget_ms,
            warm_up_ms: Self::WARM_UP_MS.min(budget_ms / 10.0),
            min_sample_ms: Self::MIN_SAMPLE_MS.max(Self::STEPS_PER_SAMPLE * timer_resolution_ms),
            timer_resolution_ms,
            tuned: None,
        }
    }
}

/// One case and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Which suite it is of.
    pub suite: Suite,
    /// The layer's or the network's name.
    pub name: String,
    /// How DO-Conv layers were run: `folded`, `kernel` or `feature`.
    pub mode: Mode,
    /// Images at once.
    pub batch: usize,
    /// Multiply-accumulates of one run, as the mode computes it, for the whole batch.
    pub macs: u64,
    /// Bytes that a run has to move, however much stays in caches: inputs, weights and outputs, each once; where something
    /// is copied, what is read and what is written. 0 where the case failed, and in records that are older.
    #[serde(default)]
    pub bytes: u64,
    /// What was measured, or why not.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It ran; whether its results are right is in [`Measurement::check`].
    Measured(Measurement),
    /// It did not.
    Failed {
        /// Why, in one line.
        error: String,
    },
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The shader families that ran, such as `conv_direct`, each once; `cpu` on the CPU path.
    pub kernels: Vec<String>,
    /// In what precision: `f32` where the one that was wanted was found to be wrong, and in older records.
    #[serde(default)]
    #[cfg_attr(target_arch = "wasm32", serde(skip_serializing))]
    pub precision: Precision,
    /// Whether the results are right.
    pub check: Check,
    /// Milliseconds of planning, uploading weights, folding kernels, making buffers, and compiling those shaders that no
    /// earlier case has used.
    pub setup_ms: f64,
    /// Milliseconds of the first run, upload and read-back inside.
    pub first_ms: f64,
    /// Runs in each sample.
    pub repeats: usize,
    /// Milliseconds of one run: every sample's mean, in the order of measuring.
    pub samples_ms: Vec<f64>,
    /// Their median.
    pub median_ms: f64,
    /// Its 95 % confidence interval.
    pub ci95_ms: [f64; 2],
    /// Thousand millions of multiply-accumulates per second: `macs` by `median_ms`.
    pub gmacs_per_s: f64,
    /// Thousand millions of bytes per second: `bytes` by `median_ms`.
    #[serde(default)]
    pub gbytes_per_s: f64,
    /// How much longer runs took at the end: the median of the last third of the samples by that of the first, less one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<f64>,
}

/// How the results of a case compare with what they should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Whether every element of every output is within its tolerance, in the first run and in the last one timed.
    pub ok: bool,
    /// The difference of the element that is furthest off, measured in tolerances; `null` where that is NaN or infinity, or
    /// the shapes differ.
    pub largest_error: Option<f64>,
    /// That element's tolerance.
    pub tolerance: f64,
    /// What the results were compared with, in words.
    pub reference: String,
}
