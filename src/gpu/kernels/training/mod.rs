//! The kernels of gradients and of training steps.

mod activation_gradient;
mod batch_norm;
mod bias_gradient;
mod blend;
mod compose_gradient;
mod cross_entropy;
mod kernel_gradient;
mod kernel_map;
mod load;
mod optimiser;
mod pad_gradient;
mod parts;
mod pool_gradient;
mod reduce;
mod square_sum;
mod transpose;

use super::context::Context;
use crate::gpu::shader::Dispatch;
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::shader::Kernel;
use crate::plan::{Step, TrainStep};
use crate::{Error, Result};

/// Every shader family of gradients and training.
#[cfg(not(target_arch = "wasm32"))]
pub static FAMILIES: &[&Kernel] = &[
    &kernel_gradient::DIRECT,
    &kernel_gradient::TILED,
    &kernel_gradient::DEPTHWISE,
    &kernel_gradient::GROUPED,
    &bias_gradient::FAMILY,
    &compose_gradient::FAMILY,
    &pad_gradient::FAMILY,
    &transpose::FAMILY,
    &kernel_map::FAMILY,
    &parts::FAMILY,
    &load::FAMILY,
    &batch_norm::STATISTICS,
    &batch_norm::JOINED,
    &batch_norm::NORMALISE,
    &batch_norm::SUMS,
    &batch_norm::GRADIENT,
    &activation_gradient::FAMILY,
    &pool_gradient::FAMILY,
    &cross_entropy::FAMILY,
    &blend::FAMILY,
    &reduce::FAMILY,
    &square_sum::FAMILY,
    &optimiser::ACCUMULATE,
    &optimiser::UPDATE,
];

/// The dispatches of a step of the backward pass or of training.
pub fn lower(cx: &Context<'_>, step: &Step) -> Result<Vec<Dispatch>> {
    Ok(vec![match step {
        Step::KernelGradient(step) => return Ok(kernel_gradient::lower(cx, step)),
        Step::BiasGradient { grad_output, output } => return Ok(bias_gradient::lower(cx, *grad_output, *output)),
        Step::ComposeGradient(step) => return compose_gradient::lower(cx, step),
        Step::PadGradient(step) => pad_gradient::lower(cx, step),
        Step::Transpose(kernel) => transpose::lower(cx.plan, *kernel)?,
        Step::KernelMap { kernel, output } => kernel_map::lower(cx, *kernel, *output),
        Step::Train(step) => match step {
            TrainStep::Load(step) => load::lower(cx, step),
            TrainStep::BatchStatistics { input, output } => return Ok(batch_norm::statistics(cx, *input, *output)),
            TrainStep::Normalise(step) => batch_norm::normalise(cx, step),
            TrainStep::ActivationGradient { activation, of, grad_output, output } => {
                activation_gradient::lower(cx, *activation, [*of, *grad_output, *output])
            }
            TrainStep::NormSums(step) => return Ok(batch_norm::sums(cx, step)),
            TrainStep::NormGradient(step) => batch_norm::gradient(cx, step),
            TrainStep::PoolGradient(step) => pool_gradient::lower(cx, step),
            TrainStep::CrossEntropy { logits, targets, output } => {
                cross_entropy::lower(cx, false, [*logits, *targets, *output])
            }
            TrainStep::CrossEntropyGradient { logits, targets, output } => {
                cross_entropy::lower(cx, true, [*logits, *targets, *output])
            }
            TrainStep::Blend(step) => blend::lower(cx, step),
            TrainStep::Reduce { input, output } => reduce::lower(cx, *input, *output),
            TrainStep::SquareSum { inputs, output } => return Ok(square_sum::lower(cx, inputs, *output)),
            TrainStep::Accumulate(step) => optimiser::accumulate(cx, step),
            TrainStep::Update(step) => optimiser::update(cx, step),
        },
        _ => return Err(Error::Unsupported("no step of the backward pass".into())),
    }])
}
