//! A convolution as dispatches.

use super::bindings::stored;
use super::problem::ConvProblem;
use super::{select, split, winograd};
use crate::gpu::kernels::context::Context;
use crate::gpu::shader::{ActivationClass, Dispatch, Place, Resource};
use crate::plan::Conv;

/// The dispatches of a convolution with all that is fused behind it.
pub fn lower(cx: &Context<'_>, step: &Conv) -> Vec<Dispatch> {
    if let Some(size) = cx.layouts.winograd(step.kernel) {
        return winograd::lower(cx, step, size);
    }
    let problem = ConvProblem::of(step, cx.shape(step.input), cx.shape(step.output));
    let (kernel, tile) = select::choose(&problem, cx.policy);
    let shader = kernel.shader(&problem, &tile, cx.policy);
    let invocations = kernel.invocations(&problem, &tile);
    let params = problem.params(tile.parts, step.residual.is_some(), ActivationClass::of(step.activation).1);
    let inputs = [(1, Resource::Map(step.input)), (2, Resource::Kernel(step.kernel))];
    if tile.parts == 1 {
        let bindings = [&inputs[..], &stored(step)].concat();
        return vec![Dispatch::new(&step.name, shader, &params, bindings, invocations).chosen_as(kernel.name())];
    }
    let sums = Resource::Scratch(Place::First, problem.bytes_of_sums(tile.parts));
    let label = format!("{} in parts", step.name);
    let bindings = [&inputs[..], &[(4, sums)]].concat();
    let first = Dispatch::new(label, shader, &params, bindings, invocations).chosen_as(kernel.name());
    vec![first, split::add_up(step, &problem, &params, sums)]
}
