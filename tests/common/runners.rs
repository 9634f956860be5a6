//! Runners over the public session API: the one file to change when that does.

use doconv::network::Conv2d;
use doconv::plan::Mode;
use doconv::winograd::Winograd;
use doconv::{Adapter, Model, Precision, Result, Session, Tensor};
use pollster::block_on;

use super::suite::Runner;

/// Loads a session per problem on one adapter and runs it twice: the second run reuses every buffer of the first.
pub struct SessionRunner {
    name: String,
    adapter: Adapter,
}

impl SessionRunner {
    /// Runs on an open adapter, under a name for reports.
    pub fn new(name: String, adapter: Adapter) -> Self {
        Self { name, adapter }
    }
}

impl Runner for SessionRunner {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// Fewer than usual: every tier is run with and without checks, and software adapters take their time to compile.
    fn cases(&self) -> u32 {
        20
    }

    fn winograd(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Winograd> {
        self.adapter.gpu()?.winograd(conv, output)
    }

    fn precision(&self) -> Precision {
        self.adapter.precision()
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut session = block_on(Session::load(&self.adapter, model, mode))?;
        // What stands in for a kernel that was found to be wrong would hide that.
        assert!(session.faults().is_empty(), "{}: {:?}", self.name, session.faults());
        let first = block_on(session.run(inputs))?;
        let second = block_on(session.run(inputs))?;
        let bits = |tensors: &[Tensor]| -> Vec<Vec<u32>> {
            tensors.iter().map(|tensor| tensor.data().iter().map(|value| value.to_bits()).collect()).collect()
        };
        assert_eq!(bits(&first), bits(&second), "{}: the same run gives other bits", self.name);
        Ok(second)
    }
}
