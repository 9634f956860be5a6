//! What benchmarks need of a session.

use std::time::Duration;

use super::{Executor, Session};
use crate::{Result, Tensor};

/// What came of running the same again and again.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// The time of all runs together.
    pub elapsed: Duration,
    /// The outputs of the last run.
    pub outputs: Vec<Tensor>,
}

impl Session {
    /// Runs the network `repeats` times, at least once, on inputs that lie on the adapter, and reads back only what the
    /// last run left there: for benchmarks.
    ///
    /// Neither uploading nor reading back is in the time, which ends when the adapter has done its work. What is in it:
    /// where the network overwrites its input, copying that anew, on the adapter, for every run; and for a batch that the
    /// adapter takes in parts, uploading and reading back these.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub async fn repeat(&mut self, inputs: &[Tensor], repeats: usize) -> Result<Repeated> {
        let batch = self.batch_of(inputs)?;
        let slices: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
        let (elapsed, results) = match &mut self.executor {
            Executor::Cpu(executor) => executor.repeat(batch, &slices, repeats)?,
            Executor::Gpu(executor) => executor.repeat(batch, &slices, repeats).await?,
        };
        Ok(Repeated { elapsed, outputs: self.shaped(batch, results)? })
    }

    /// The kernels that a run with this batch uses, each once: shader families such as `conv_direct` on a GPU, `cpu` on
    /// the CPU path.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) if the batch is beyond what the adapter can run.
    pub fn kernels(&self, batch: usize) -> Result<Vec<String>> {
        match &self.executor {
            Executor::Cpu(_) => Ok(vec!["cpu".into()]),
            Executor::Gpu(executor) => Ok(executor.kernels(batch)?.into_iter().map(String::from).collect()),
        }
    }
}
