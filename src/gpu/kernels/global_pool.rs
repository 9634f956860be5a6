//! Maximum or mean over all pixels.

use super::context::Context;
#[cfg(not(target_arch = "wasm32"))]
use super::pool::KINDS;
use super::pool::kind_name;
use crate::gpu::shader::{Dispatch, Kernel, ShaderKey, params, slices};
use crate::plan::{PoolKind, ValueId};

params! {
    /// Pooling over whole maps.
    GlobalPoolParams { maps: u32, area: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "global_pool",
    template: "global_pool.wgsl",
    params: GlobalPoolParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || KINDS.map(key).into(),
    ..Kernel::DEFAULT
};

fn key(kind: PoolKind) -> ShaderKey {
    FAMILY.key([64, 1]).with("kind", kind_name(kind))
}

pub fn lower(cx: &Context<'_>, kind: PoolKind, input: ValueId, output: ValueId) -> Dispatch {
    let [n, c, h, w] = cx.shape(input);
    let maps = n * slices(c);
    let params = GlobalPoolParams { maps: maps as u32, area: (h * w) as u32 };
    cx.maps_dispatch(key(kind), &params, vec![(1, input), (2, output)], [maps, 1, 1])
}
