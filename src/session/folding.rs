//! Composing kernels and nothing else.

use std::time::Duration;

use super::Executor;
use crate::plan::Plan;
use crate::{Adapter, Result, Tensor};

/// What composes a model's kernels on an adapter, as loading it does: for benchmarks.
#[derive(Debug)]
pub(crate) struct Folding {
    executor: Executor,
    shapes: Vec<[usize; 4]>,
}

impl Folding {
    /// # Errors
    /// Those of [`Session::load`](crate::Session::load).
    pub(crate) async fn load(adapter: &Adapter, plan: &Plan) -> Result<Self> {
        let shapes = plan.outputs.iter().map(|&id| plan.value(id).shape).collect();
        Ok(Self { executor: Executor::load(adapter, plan).await?, shapes })
    }

    /// Composes all kernels `repeats` times and gives the time of that.
    ///
    /// # Errors
    /// Those of [`Session::repeat`](crate::Session::repeat).
    pub(crate) async fn repeat(&mut self, repeats: usize) -> Result<Duration> {
        match &mut self.executor {
            Executor::Cpu(executor) => executor.repeat_fold(repeats),
            Executor::Gpu(executor) => executor.repeat_fold(repeats).await,
        }
    }

    /// The kernels as they lie on the adapter, in the plan's order.
    ///
    /// # Errors
    /// Those of [`Session::run`](crate::Session::run).
    pub(crate) async fn kernels(&mut self) -> Result<Vec<Tensor>> {
        let values = self.executor.run(1, &[]).await?;
        values.into_iter().zip(&self.shapes).map(|(values, &shape)| Tensor::new(shape, values)).collect()
    }
}
