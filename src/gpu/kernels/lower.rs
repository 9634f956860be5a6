//! From a step of a plan to dispatches.

use super::context::Context;
use super::conv::KernelLayouts;
#[cfg(training)]
use super::training;
use super::{compose, concat, constant, conv, elementwise, global_pool, lrn, pad, pool, rearrange, resize, softmax};
use crate::gpu::shader::Dispatch;
use crate::plan::{KernelId, KernelSource, Plan, Step};
use crate::{Precision, Result};

/// The dispatches of a step, in the precision that the policy asks for.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) for steps that contradict the plan's kernels.
pub fn lower(cx: &Context<'_>, step: &Step) -> Result<Vec<Dispatch>> {
    let precision = match step {
        Step::Compose(kernel) => cx.layouts.precision(*kernel),
        _ => cx.policy.precision,
    };
    Ok(dispatches(cx, step)?.into_iter().map(|dispatch| in_precision(dispatch, precision)).collect())
}

/// The dispatches that compose, once, every composed kernel that no step composes for every run.
///
/// # Errors
/// Those of [`lower`].
pub fn fold(plan: &Plan, layouts: &KernelLayouts) -> Result<Vec<Dispatch>> {
    let composed =
        |id: &KernelId| matches!(plan.kernel(*id).source, KernelSource::Composed(_)) && !plan.composes_every_run(*id);
    let compose = |id| Ok(in_precision(compose::lower(plan, id, layouts.winograd(id))?, layouts.precision(id)));
    (0..plan.kernels().len()).map(KernelId).filter(composed).map(compose).collect()
}

/// A dispatch of what its family has for a precision.
pub fn in_precision(dispatch: Dispatch, wanted: Precision) -> Dispatch {
    Dispatch { shader: dispatch.shader.in_precision(wanted), ..dispatch }
}

fn dispatches(cx: &Context<'_>, step: &Step) -> Result<Vec<Dispatch>> {
    Ok(vec![match step {
        Step::KernelGradient(_)
        | Step::BiasGradient { .. }
        | Step::ComposeGradient(_)
        | Step::PadGradient(_)
        | Step::Transpose(_)
        | Step::KernelMap { .. }
        | Step::Train(_) => return backward(cx, step),
        Step::Conv(step) => return Ok(conv::lower(cx, step)),
        Step::Concat { inputs, output } => return Ok(concat::lower(cx, inputs, *output)),
        Step::Compose(kernel) => compose::lower(cx.plan, *kernel, cx.layouts.winograd(*kernel))?,
        Step::Pool(step) => pool::lower(cx, step),
        Step::GlobalPool { kind, input, output } => global_pool::lower(cx, *kind, *input, *output),
        Step::Binary(step) => elementwise::lower_binary(cx, step),
        Step::Activation { activation, input, output } => {
            elementwise::lower_activation(cx, *activation, *input, *output)
        }
        Step::Constant { constant, output } => constant::lower(cx, *constant, *output),
        Step::Rearrange { view, input, output } => rearrange::lower(cx, view, *input, *output),
        Step::Pad(step) => pad::lower(cx, step),
        Step::Resize { rows, columns, input, output } => resize::lower(cx, [*rows, *columns], *input, *output),
        Step::Lrn { lrn, input, output } => lrn::lower(cx, lrn, *input, *output),
        Step::Softmax { logarithm, input, output } => softmax::lower(cx, *logarithm, *input, *output),
    }])
}

/// What builds without training have no plans with.
#[cfg(not(training))]
fn backward(_: &Context<'_>, _: &Step) -> Result<Vec<Dispatch>> {
    Err(crate::Error::Unsupported("this build has no gradients".into()))
}

#[cfg(training)]
fn backward(cx: &Context<'_>, step: &Step) -> Result<Vec<Dispatch>> {
    training::lower(cx, step)
}
