//! The gradient of an activation.

use super::super::context::Context;
use super::super::elementwise;
use crate::gpu::shader::{ActivationClass, Dispatch, Kernel, Precisions, ShaderKey};
use crate::network::Activation;
use crate::plan::ValueId;

pub static FAMILY: Kernel = Kernel {
    name: "activation_gradient",
    template: "training/activation_gradient.wgsl",
    params: elementwise::ElementwiseParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || ActivationClass::ALL.map(key).into(),
    ..Kernel::DEFAULT
};

fn key(activation: ActivationClass) -> ShaderKey {
    FAMILY.key([64, 1]).with("activation", activation)
}

/// Of an activation of `of`, given the gradient of what it gave.
pub fn lower(cx: &Context<'_>, activation: Activation, [of, grad_output, output]: [ValueId; 3]) -> Dispatch {
    let (class, bounds) = ActivationClass::of(Some(activation));
    let params = elementwise::params(cx, bounds, 1, output);
    let bound = vec![(1, of), (2, grad_output), (3, output)];
    cx.maps_dispatch(key(class), &params, bound, [params.area as usize, params.maps as usize, 1])
}
