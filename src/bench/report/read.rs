//! Records from other machines, other versions and other people: what a report needs of them, and nothing taken on trust.
//!
//! [`Record`](crate::bench::Record) is what this version writes. Here suites and modes are names, and what is not needed may
//! be missing, so that a record of a later version can still be shown.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_json::error::Category;

use crate::bench::SCHEMA;
use crate::{Error, Result};

/// Where records come from: the end of messages about files that are none.
pub const ORIGIN: &str = "records are what `doconv bench --output FILE` and the web page write";

/// A record and the file it is from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file, or what stands for it.
    pub name: String,
    /// What it holds.
    pub record: Recorded,
}

/// The parts of a [`Record`](crate::bench::Record) that a report shows.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// The version of doconv.
    #[serde(default)]
    pub version: String,
    /// The commit it was built from, where that is known.
    #[serde(default)]
    pub commit: Option<String>,
    /// When the run began.
    #[serde(default)]
    pub date: String,
    /// What it ran in.
    #[serde(default)]
    pub environment: Environment,
    /// What computed.
    pub adapter: Adapter,
    /// How it was measured.
    #[serde(default)]
    pub settings: Settings,
    /// Whether somebody stopped it.
    #[serde(default)]
    pub stopped: bool,
    /// The cases, in their order.
    pub results: Vec<Case>,
}

/// What a benchmark ran in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Operating system and architecture.
    pub os: String,
    /// What the browser calls itself, where there is one.
    pub browser: Option<String>,
    /// Threads of the CPU path.
    pub threads: u64,
}

/// How was measured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The name of a [`Precision`](crate::Precision), or empty, as in older records, for `f32`.
    pub precision: String,
}

/// What computed, as the platform told it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Adapter {
    /// May be empty in browsers.
    pub name: String,
    /// Such as `vulkan`.
    pub backend: String,
    /// Driver and version; may be empty.
    pub driver: String,
    /// What kind of thing computes.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The maker, as a browser tells it.
    pub vendor: Option<String>,
    /// The family, as a browser tells it.
    pub architecture: Option<String>,
}

/// What kind of thing computes: [`AdapterKind`](crate::AdapterKind), or one that this version does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A graphics card.
    Discrete,
    /// A GPU that shares memory with the CPU.
    Integrated,
    /// A GPU of another kind.
    Other,
    /// Shaders on the CPU.
    Software,
    /// The CPU path.
    Cpu,
    /// Not known here.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One case and what became of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The suite's name.
    pub suite: String,
    /// The layer's or the network's name.
    pub name: String,
    /// How DO-Conv layers were run.
    pub mode: String,
    /// Images at once.
    pub batch: u64,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes that a run has to move at least: inputs, weights and outputs once. 0 where that is not known.
    pub bytes: u64,
    /// What was measured, or why not.
    pub outcome: Outcome,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It ran.
    Measured(Figures),
    /// It did not, and why.
    Failed(String),
}

/// The figures of a case: times of one run, in milliseconds.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The median.
    pub median_ms: f64,
    /// Its confidence interval.
    pub ci95_ms: [f64; 2],
    /// How many samples there were.
    pub samples: usize,
    /// Whether the results are right.
    pub check: Check,
    /// The shader families that ran.
    pub kernels: Vec<String>,
}

/// Whether the results of a case are right.
#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    /// Whether they are.
    pub ok: bool,
    /// The difference of the element that is furthest off; nothing where that is NaN or infinity.
    #[serde(default)]
    pub largest_error: Option<f64>,
    /// What that element may differ by.
    #[serde(default)]
    pub tolerance: f64,
    /// What they were compared with.
    #[serde(default)]
    pub reference: String,
}

/// A case as it is in the file.
#[derive(Deserialize)]
struct Fields {
    suite: String,
    name: String,
    mode: String,
    #[serde(default = "one")]
    batch: u64,
    #[serde(default)]
    macs: u64,
    #[serde(default)]
    bytes: u64,
    error: Option<String>,
    median_ms: Option<f64>,
    ci95_ms: Option<[f64; 2]>,
    #[serde(default)]
    samples_ms: Vec<f64>,
    check: Option<Check>,
    #[serde(default)]
    kernels: Vec<String>,
}

fn one() -> u64 {
    1
}

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let Fields { suite, name, mode, batch, macs, bytes, error, median_ms, ci95_ms, samples_ms, check, kernels } =
            Fields::deserialize(deserializer)?;
        let refuse = |reason: String| Err(de::Error::custom(format!("case {name:?} of suite {suite:?} {reason}")));
        let outcome = match (error, median_ms, ci95_ms, check) {
            (Some(error), ..) if error.trim().is_empty() => {
                Outcome::Failed("for no reason that the record tells".into())
            }
            (Some(error), ..) => Outcome::Failed(error),
            (None, Some(median_ms), Some(ci95_ms), Some(check)) => {
                let [low, high] = ci95_ms;
                if !(0.0 <= low && low <= high && median_ms >= 0.0 && [median_ms, high].iter().all(|ms| ms.is_finite()))
                {
                    return refuse(format!("has times that cannot be: median_ms {median_ms}, ci95_ms {low} to {high}"));
                }
                Outcome::Measured(Figures { median_ms, ci95_ms, samples: samples_ms.len(), check, kernels })
            }
            _ => return refuse("has neither an `error` nor all of `median_ms`, `ci95_ms` and `check`".into()),
        };
        Ok(Case { suite, name, mode, batch, macs, bytes, outcome })
    }
}

/// Reads a record.
///
/// # Errors
/// [`Error::BenchRecord`] with what is wrong and the way out.
pub fn read(name: &str, bytes: &[u8]) -> Result<Source> {
    let refuse = |reason: String| Error::BenchRecord { name: name.into(), reason };
    let broken = |error: serde_json::Error| {
        refuse(match error.classify() {
            Category::Eof => format!("it breaks off ({error}); copy it anew, or repeat the benchmark"),
            Category::Data => format!("{error}; {ORIGIN}"),
            Category::Syntax | Category::Io => format!("no JSON ({error}); {ORIGIN}"),
        })
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refuse("UTF-16, as `>` writes it in PowerShell; use `doconv bench --output FILE`".into()));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(refuse(format!("it is empty; {ORIGIN}")));
    }
    match serde_json::from_slice::<Value>(bytes).map_err(broken)?.get("schema") {
        Some(Value::String(schema)) if schema == SCHEMA => {}
        None => return Err(refuse(format!("it has no `schema`; {ORIGIN}"))),
        Some(other) => {
            let found: String = other.to_string().chars().filter(|c| !c.is_control()).take(60).collect();
            let way_out = "use a version of doconv that reads it";
            return Err(refuse(format!("its schema is {found}, and this version reads \"{SCHEMA}\"; {way_out}")));
        }
    }
    Ok(Source { name: name.into(), record: serde_json::from_slice(bytes).map_err(broken)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixtures::{self, record};

    fn refused(bytes: &[u8]) -> String {
        let message = read("r.json", bytes).unwrap_err().to_string();
        assert!(message.starts_with("r.json: no benchmark record: ") && !message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn what_this_version_writes_is_read() {
        let bytes = serde_json::to_vec(&record("GPU", "discrete")).unwrap();
        let source = read("r.json", &bytes).unwrap();
        let strict: crate::bench::Record = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(source.record.adapter.name, strict.adapter.name);
        assert_eq!(source.record.adapter.kind, Kind::Discrete);
        assert_eq!(source.record.results.len(), strict.results.len());
        let with_mark = ["\u{feff}".as_bytes(), &bytes].concat();
        assert_eq!(read("r.json", &with_mark).unwrap().record.date, strict.date);
    }

    #[test]
    fn later_versions_may_know_more_suites_modes_kinds_and_fields() {
        let mut later = record("GPU", "quantum");
        later["results"][0]["suite"] = "attention".into();
        later["results"][0]["mode"] = "spatial".into();
        later["results"][0]["joules"] = 1.5.into();
        later["weather"] = "fine".into();
        let source = fixtures::source("later.json", &later);
        assert_eq!((source.record.adapter.kind, source.record.results[0].suite.as_str()), (Kind::Unknown, "attention"));
    }

    #[test]
    fn what_is_no_record_is_said_with_the_way_out() {
        assert!(refused(b" \n").contains("it is empty; records are what `doconv bench --output FILE`"));
        assert!(refused(b"{}").contains("no `schema`"));
        assert!(refused(b"[package]").contains("no JSON (expected value at line 1 column 2)"));
        assert!(refused(b"[1, 2]").contains("no `schema`"));
        assert!(refused(&[0xff, 0xfe, b'{', 0]).contains("PowerShell"));
        assert!(refused(b"{\"schema\": \"doconv-bench-2\"}").contains("its schema is \"doconv-bench-2\", and this"));
        assert!(refused(b"{\"schema\": \"doconv-bench-1\"}").contains("missing field `adapter`"));
        assert!(refused(b"{\"schema\": \"\\u001b[2J\"}").chars().all(|c| !c.is_control()));
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = serde_json::to_vec(&record("GPU", "discrete")).unwrap();
        for length in 1..whole.len() {
            let message = refused(&whole[..length]);
            assert!(message.contains("it breaks off"), "{length} bytes: {message}");
        }
    }

    #[test]
    fn figures_that_cannot_be_are_refused() {
        let wrong = |change: fn(&mut Value)| {
            let mut record = record("GPU", "discrete");
            change(&mut record["results"][0]);
            refused(&serde_json::to_vec(&record).unwrap())
        };
        assert!(wrong(|case| case["median_ms"] = (-1.0).into()).contains("median_ms -1, ci95_ms 0.95 to 1.05"));
        assert!(wrong(|case| case["ci95_ms"] = vec![2.0, 1.0].into()).contains("ci95_ms 2 to 1"));
        assert!(wrong(|case| case["median_ms"] = Value::Null).contains("neither an `error` nor all of"));
        assert!(wrong(|case| case["macs"] = (-3).into()).contains("invalid value: integer `-3`"));
        assert!(wrong(|case| _ = case.as_object_mut().unwrap().remove("check")).contains("`check`"));
    }
}
