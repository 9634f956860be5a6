//! The gradient of what was pooled.

use super::super::context::Context;
#[cfg(not(target_arch = "wasm32"))]
use super::super::pool::KINDS;
use super::super::pool::{self, kind_name};
use crate::gpu::shader::{Dispatch, Kernel, Precisions, ShaderKey, slices};
use crate::plan::{PoolGradient, PoolKind};

pub static FAMILY: Kernel = Kernel {
    name: "pool_gradient",
    template: "training/pool_gradient.wgsl",
    params: pool::PoolParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || KINDS.map(key).into(),
    ..Kernel::DEFAULT
};

fn key(kind: PoolKind) -> ShaderKey {
    FAMILY.key([64, 1]).with("kind", kind_name(kind))
}

pub fn lower(cx: &Context<'_>, step: &PoolGradient) -> Dispatch {
    let [n, c, height, width] = cx.shape(step.pool.input);
    let bound = vec![(1, step.pool.input), (2, step.grad_output), (3, step.output)];
    let params = pool::params(cx, &step.pool);
    cx.maps_dispatch(key(step.pool.kind), &params, bound, [height * width, n * slices(c), 1])
}
