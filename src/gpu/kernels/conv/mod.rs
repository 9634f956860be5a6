//! Convolutions: the kernels that there are, and how a convolution becomes dispatches of one of them.

mod depthwise;
mod direct;
mod feature;
mod grouped;
mod kernel;
#[cfg(not(target_arch = "wasm32"))]
mod matrix;
mod problem;
mod search_space;
mod select;
mod split;
mod subgroup;
mod table;
mod tiled;
mod tiles;
mod winograd;

pub use feature::{FusedPair, lower_pair};
#[cfg(not(target_arch = "wasm32"))]
pub use matrix::{MATRIX_PIXELS, MATRIX_SIDE};
pub use search_space::search_space;
pub use select::{KernelLayouts, winograd_tiles};
pub use table::KERNELS;
pub use winograd::transform;

use super::context::Context;
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::shader::Kernel;
use crate::gpu::shader::{ActivationClass, Dispatch, Place, Resource};
use crate::plan::Conv;
use problem::ConvProblem;

/// Every shader family of convolutions.
#[cfg(not(target_arch = "wasm32"))]
pub fn families() -> impl Iterator<Item = &'static Kernel> {
    let of_kernels = KERNELS.iter().flat_map(|kernel| kernel.families()).copied();
    of_kernels.chain([&split::FAMILY, &feature::FAMILY]).chain(winograd::FAMILIES)
}

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

/// What the last shader of a convolution binds to store the result. Something has to be bound as the residual even if there is
/// none.
fn stored(step: &Conv) -> [(u32, Resource); 3] {
    let residual = step.residual.unwrap_or(step.input);
    [(3, Resource::Bias(step.kernel)), (4, Resource::Map(step.output)), (5, Resource::Map(residual))]
}
