//! The interpreter of plans as a runner: lowering, fusion and buffer lifetimes without any device.

use doconv::plan::{Mode, Plan};
use doconv::reference::interpret_plan;
use doconv::{Model, Result, Tensor};

use super::suite::Runner;

/// Runs the plan of a model with naive loops.
pub struct PlanInterpreter;

impl Runner for PlanInterpreter {
    fn name(&self) -> String {
        "plan interpreter".into()
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let batch = inputs[0].shape()[0] / model.network().inputs[0].items;
        interpret_plan(&Plan::new(model, mode)?, mode, batch, inputs)
    }
}
