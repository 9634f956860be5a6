//! A case made ready on an adapter: what the runner times, whatever it is.

use std::time::Duration;

use web_time::Instant;

use super::Check;
use super::cases::{Case, Source, Subject};
use super::check::Expected;
use super::peak::Peak;
use super::sampling::elapsed_ms;
use crate::plan::Plan;
use crate::session::Folding;
use crate::{Adapter, Error, Result, Session, Tensor};

/// A case that is ready to be timed.
pub(super) struct Ready {
    work: Work,
    /// How long it took to make it so.
    pub setup_ms: f64,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes that a run has to move.
    pub bytes: u64,
    /// Kernels that a run uses.
    pub kernels: Vec<String>,
}

enum Work {
    Run { session: Session, inputs: Vec<Tensor>, expected: Expected, outputs: Vec<Tensor> },
    Fold { folding: Folding, expected: Expected },
    Peak(Peak),
}

/// Every visitor of a page would load the code for folding and for peaks, and few would run it: there it is left out.
const IN_BROWSER: bool = cfg!(target_arch = "wasm32");

fn not_in_a_browser() -> Error {
    Error::Unsupported("the suites fold and peak are for the program `doconv bench`, not for browsers".into())
}

impl Ready {
    pub async fn new(adapter: &Adapter, case: &Case<'_>) -> Result<Self> {
        match case.subject {
            Subject::Fold(_) | Subject::Peak(_) if IN_BROWSER => Err(not_in_a_browser()),
            Subject::Run(source) => Self::run(adapter, case, source).await,
            Subject::Fold(source) => Self::fold(adapter, case, source).await,
            Subject::Peak(ceiling) => {
                let start = Instant::now();
                let peak = Peak::new(adapter, ceiling).await?;
                let (macs, bytes, kernels) = (peak.macs, peak.bytes, vec![peak.kernel().into()]);
                Ok(Self { work: Work::Peak(peak), setup_ms: elapsed_ms(start), macs, bytes, kernels })
            }
        }
    }

    async fn run(adapter: &Adapter, case: &Case<'_>, source: Source<'_>) -> Result<Self> {
        let model = source.model()?;
        let inputs = case.inputs(model.network())?;
        let expected = case.expected(adapter, source, &model, &inputs).await?;
        let start = Instant::now();
        let plan = Plan::new(&model, case.mode)?;
        let mut session = Session::of_plan(adapter, &model, &plan).await?;
        session.prepare(case.batch).await?;
        let setup_ms = elapsed_ms(start);
        let (bytes, kernels) = (plan.traffic(case.batch), session.kernels(case.batch)?);
        let work = Work::Run { session, inputs, expected, outputs: vec![] };
        Ok(Self { work, setup_ms, macs: case.macs()?, bytes, kernels })
    }

    async fn fold(adapter: &Adapter, case: &Case<'_>, source: Source<'_>) -> Result<Self> {
        let model = source.model()?;
        let start = Instant::now();
        let plan = Plan::folding(&model)?;
        let folding = Folding::load(adapter, &plan).await?;
        let setup_ms = elapsed_ms(start);
        let expected = Expected::of_folding(&plan)?;
        let kernel = if adapter.gpu().is_some() { "compose" } else { "cpu" };
        let (macs, bytes) = (case.macs()?, plan.folding_traffic());
        Ok(Self { work: Work::Fold { folding, expected }, setup_ms, macs, bytes, kernels: vec![kernel.into()] })
    }

    /// A run with upload and read-back: its milliseconds, and whether it was right.
    pub async fn first(&mut self) -> Result<(f64, Check)> {
        let start = Instant::now();
        match &mut self.work {
            Work::Fold { .. } | Work::Peak(_) if IN_BROWSER => Err(not_in_a_browser()),
            Work::Run { session, inputs, expected, .. } => {
                let outputs = session.run(inputs).await?;
                Ok((elapsed_ms(start), expected.check(&outputs)))
            }
            Work::Fold { folding, expected } => {
                folding.repeat(1).await?;
                let kernels = folding.kernels().await?;
                Ok((elapsed_ms(start), expected.check(&kernels)))
            }
            Work::Peak(peak) => {
                peak.time(1).await?;
                let check = peak.check().await?;
                Ok((elapsed_ms(start), check))
            }
        }
    }

    /// The time of so many runs.
    pub async fn time(&mut self, repeats: usize) -> Result<Duration> {
        match &mut self.work {
            Work::Fold { .. } | Work::Peak(_) if IN_BROWSER => Err(not_in_a_browser()),
            Work::Run { session, inputs, outputs, .. } => {
                let repeated = session.repeat(inputs, repeats).await?;
                // Comparing between the samples would chase the network's data from the caches.
                *outputs = repeated.outputs;
                Ok(repeated.elapsed)
            }
            Work::Fold { folding, .. } => folding.repeat(repeats).await,
            Work::Peak(peak) => peak.time(repeats).await,
        }
    }

    /// Whether the last run that was timed was right.
    pub async fn check(&mut self) -> Result<Check> {
        match &mut self.work {
            Work::Fold { .. } | Work::Peak(_) if IN_BROWSER => Err(not_in_a_browser()),
            Work::Run { expected, outputs, .. } => Ok(expected.check(outputs)),
            Work::Fold { folding, expected } => Ok(expected.check(&folding.kernels().await?)),
            Work::Peak(peak) => peak.check().await,
        }
    }
}
