//! Local response normalisation over channels.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, params, slices};
use crate::network::Lrn;
use crate::plan::ValueId;

params! {
    /// Local response normalisation.
    LrnParams { maps: u32, area: u32, channels: u32, before: u32, behind: u32, factor: f32, beta: f32, k: f32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "lrn",
    template: "lrn.wgsl",
    params: LrnParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, lrn: &Lrn, input: ValueId, output: ValueId) -> Dispatch {
    let [n, c, h, w] = cx.shape(input);
    let maps = n * slices(c);
    let before = (lrn.size - 1) / 2;
    let params = LrnParams {
        maps: maps as u32,
        area: (h * w) as u32,
        channels: c as u32,
        before: before as u32,
        behind: (lrn.size - 1 - before) as u32,
        factor: lrn.alpha / lrn.size as f32,
        beta: lrn.beta,
        k: lrn.k,
    };
    cx.maps_dispatch(FAMILY.key([64, 1]), &params, vec![(1, input), (2, output)], [h * w, maps, 1])
}
