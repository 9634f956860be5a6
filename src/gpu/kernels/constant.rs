//! Maps that never change, once for every element of the batch.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Resource, map_len, params};
use crate::plan::{ConstantId, ValueId};

params! {
    /// A constant map.
    ConstantParams { vectors: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "constant",
    template: "constant.wgsl",
    params: ConstantParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, constant: ConstantId, output: ValueId) -> Dispatch {
    let vectors = map_len(cx.plan.constant(constant).shape) / 4;
    // More than the batch where the plan is for a fixed one.
    let copies = map_len(cx.shape(output)) / 4 / vectors;
    let params = ConstantParams { vectors: vectors as u32 };
    let bindings = vec![(1, Resource::Constant(constant)), (2, Resource::Map(output))];
    Dispatch::new(cx.name(output), FAMILY.key([64, 1]), &params, bindings, [vectors, copies, 1])
}
