//! A benchmark case that is set up on an adapter, ready to be timed.

use std::time::Duration;

use web_time::Instant;

use super::Check;
use super::cases::{Case, Source, Subject};
use super::check::Expected;
use super::microbench::Microbenchmark;
use super::sampling::elapsed_ms;
use crate::gpu::shader::Scalar;
use crate::gpu::tune;
use crate::plan::Plan;
use crate::{Adapter, Precision, Result, Session, Tensor};

/// A case that is ready to be timed.
pub(super) struct PreparedCase {
    work: Work,
    /// How long it took to make it so.
    pub setup_ms: f64,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes that a run has to move.
    pub bytes: u64,
    /// Kernels that a run uses.
    pub kernels: Vec<String>,
    /// In what precision.
    pub precision: Precision,
}

enum Work {
    Run { session: Session, inputs: Vec<Tensor>, expected: Expected, outputs: Vec<Tensor> },
    Microbenchmark(Microbenchmark),
}

impl PreparedCase {
    pub async fn new(adapter: &Adapter, case: &Case<'_>) -> Result<Self> {
        match case.subject {
            Subject::Run(source) => Self::run(adapter, case, source).await,
            Subject::Fold(_) | Subject::Peak(_) => {
                let (micro, setup_ms) = Microbenchmark::new(adapter, case).await?;
                let (macs, bytes, kernels) = (micro.macs(case)?, micro.bytes(), micro.kernels());
                let precision = micro.precision();
                Ok(Self { work: Work::Microbenchmark(micro), setup_ms, macs, bytes, kernels, precision })
            }
        }
    }

    async fn run(adapter: &Adapter, case: &Case<'_>, source: Source<'_>) -> Result<Self> {
        let model = source.model()?;
        let inputs = case.inputs(model.network())?;
        let plan = Plan::new(&model, case.mode)?;
        // Before anything is timed, and before it is asked how exact the kernels are.
        if let Some(device) = adapter.gpu() {
            tune(device, &plan).await?;
        }
        let expected = case.expected(adapter, source, &model, &inputs).await?;
        let start = Instant::now();
        let plan = Plan::new(&model, case.mode)?;
        let mut session = Session::of_plan(adapter, &model, &plan).await?;
        session.prepare(case.batch).await?;
        let setup_ms = elapsed_ms(start);
        let precision = session.precision();
        let (bytes, kernels) =
            (plan.traffic(case.batch, Scalar::stored_in(precision).bytes() as u64), session.kernels(case.batch)?);
        let work = Work::Run { session, inputs, expected, outputs: vec![] };
        Ok(Self { work, setup_ms, macs: case.macs()?, bytes, kernels, precision })
    }

    /// A run with upload and read-back: its milliseconds, and whether it was right.
    pub async fn first(&mut self) -> Result<(f64, Check)> {
        let start = Instant::now();
        match &mut self.work {
            Work::Run { session, inputs, expected, .. } => {
                let outputs = session.run(inputs).await?;
                Ok((elapsed_ms(start), expected.check(&outputs)))
            }
            Work::Microbenchmark(micro) => {
                micro.time(1).await?;
                let check = micro.check().await?;
                Ok((elapsed_ms(start), check))
            }
        }
    }

    /// The time of so many runs.
    pub async fn time(&mut self, repeats: usize) -> Result<Duration> {
        match &mut self.work {
            Work::Run { session, inputs, outputs, .. } => {
                let repeated = session.repeat(inputs, repeats).await?;
                // Comparing between the samples would chase the network's data from the caches.
                *outputs = repeated.outputs;
                Ok(repeated.elapsed)
            }
            Work::Microbenchmark(micro) => micro.time(repeats).await,
        }
    }

    /// Whether the last run that was timed was right.
    pub async fn check(&mut self) -> Result<Check> {
        match &mut self.work {
            Work::Run { expected, outputs, .. } => Ok(expected.check(outputs)),
            Work::Microbenchmark(micro) => micro.check().await,
        }
    }
}
