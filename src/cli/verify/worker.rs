//! The process that checks cases and tells about each in a line: a driver that crashes ends only this one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use doconv::Adapter;
use doconv::gpu::kernels;
use doconv::verification::{Case, Extent, Suite, check, compile_ahead};
use serde::{Deserialize, Serialize};

use crate::cli::adapter::{AdapterJson, AdapterName, describe};
use crate::cli::output;

/// What a worker tells, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The adapter is open.
    Ready {
        /// As in all documents.
        adapter: serde_json::Value,
        /// The same in a few words.
        described: String,
        /// How many cases there are.
        cases: usize,
    },
    /// A case begins.
    Begin { case: String, kernels: Vec<String>, shaders: Vec<String> },
    /// It is done. There is no error where there is no finite result.
    End { error: Option<f64>, failure: Option<String> },
}

/// Cases whose shaders are compiled at a time.
const AHEAD: usize = 16;

/// Checks cases from one on up to another, until the device is lost. `one_by_one`, the first of them are not compiled ahead: if one of them has
/// ended the worker before, it is seen which.
pub fn work(name: &AdapterName, extent: Extent, [first, end]: [usize; 2], one_by_one: bool) -> Result<()> {
    end_with_supervisor();
    let faults = Fault::wanted()?;
    let mut adapter = name.open()?;
    let suite = Suite::new(&adapter, extent)?;
    let all = suite.cases().len();
    let cases = &suite.cases()[..end.min(all)];
    let (described, document) = (describe(adapter.info()), serde_json::to_value(AdapterJson::from(adapter.info()))?);
    for fault in &faults {
        if let Fault::Kernel(family) = *fault {
            adapter = adapter.with_device(|device| device.break_kernels(family));
        }
    }
    output::print_json(&Message::Ready { adapter: document, described, cases: all })?;
    for (index, case) in cases.iter().enumerate().skip(first) {
        let is_within_first = index < first + AHEAD;
        if (index - first).is_multiple_of(AHEAD) && !(one_by_one && is_within_first) {
            compile_ahead(&adapter, &cases[index..cases.len().min(index + AHEAD)]);
        }
        output::print_json(&begin(case))?;
        faults.iter().for_each(|fault| fault.strike(index, &adapter));
        let verdict = pollster::block_on(check(&adapter, case));
        let error = verdict.error.is_finite().then_some(verdict.error);
        output::print_json(&Message::End { error, failure: verdict.failure })?;
        if verdict.is_lost {
            break;
        }
    }
    Ok(())
}

/// Ends this process when the one that has started it is gone, even while a driver hangs: it holds the other end of stdin.
fn end_with_supervisor() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

fn begin(case: &Case) -> Message {
    Message::Begin {
        case: case.name().into(),
        kernels: case.kernels().into_iter().map(String::from).collect(),
        shaders: case.shaders().iter().map(ToString::to_string).collect(),
    }
}

/// What goes wrong on purpose, so that tests see it reported: `kernel:FAMILY` computes wrong results, and at a case `abort:CASE`,
/// `lose:CASE` and `hang:CASE` end the process, lose the device, and never end. Several are separated by commas.
enum Fault {
    Kernel(&'static str),
    Abort(usize),
    Lose(usize),
    Hang(usize),
}

impl Fault {
    /// The environment variable that names it.
    const VARIABLE: &str = "DOCONV_VERIFY_FAULT";

    fn wanted() -> Result<Vec<Self>> {
        let text = std::env::var(Self::VARIABLE).unwrap_or_default();
        text.split(',').filter(|fault| !fault.is_empty()).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        let wrong = || format!("{}: `{text}` is no fault", Self::VARIABLE);
        let (kind, what) = text.split_once(':').with_context(wrong)?;
        let case = || what.parse().with_context(wrong);
        Ok(match kind {
            "kernel" => {
                let family = kernels::families().into_iter().find(|family| family.name == what);
                Self::Kernel(family.with_context(wrong)?.name)
            }
            "abort" => Self::Abort(case()?),
            "lose" => Self::Lose(case()?),
            "hang" => Self::Hang(case()?),
            _ => bail!(wrong()),
        })
    }

    fn strike(&self, case: usize, adapter: &Adapter) {
        match self {
            Self::Abort(at) if *at == case => std::process::abort(),
            Self::Lose(at) if *at == case => adapter.gpu().into_iter().for_each(|device| device.destroy()),
            Self::Hang(at) if *at == case => {
                eprintln!("case {case} hangs");
                std::thread::sleep(Duration::from_secs(3600));
            }
            _ => {}
        }
    }
}
