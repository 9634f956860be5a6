//! The sum of the squares of several maps, in parts that are joined.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Place, Precisions, Resource, ShaderKey, map_len, params, slices};
use crate::plan::ValueId;

params! {
    /// A sum of squares: of a map's `length` vectors, in `parts` of which the first is stored at `first`; or of `length`
    /// parts.
    SquareSumParams { length: u32, area: u32, slices: u32, channels: u32, parts: u32, first: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "square_sum",
    template: "training/square_sum.wgsl",
    params: SquareSumParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [false, true].map(key).into(),
    ..Kernel::DEFAULT
};

const LANES: u32 = 64;

/// Whether the parts are joined.
fn key(join: bool) -> ShaderKey {
    FAMILY.key([LANES, 1]).with("join", join)
}

/// Every value by itself, because what lies between values and beyond their channels does not count.
pub fn lower(cx: &Context<'_>, inputs: &[ValueId], output: ValueId) -> Vec<Dispatch> {
    /// Vectors that pay for a workgroup, and most workgroups.
    const PART: usize = 1024;
    const PARTS: usize = 256;
    let parts_of = |input: &ValueId| (map_len(cx.shape(*input)) / 4).div_ceil(PART).min(PARTS);
    let total: usize = inputs.iter().map(parts_of).sum();
    let parts = Resource::Scratch(Place::First, 4 * total as u64);
    let of = |join, params: SquareSumParams, bindings| {
        let invocations = [(params.parts * LANES) as usize, 1, 1];
        Dispatch::new(cx.name(output), key(join), &params, bindings, invocations)
    };
    let (mut dispatches, mut first) = (vec![], 0);
    for input in inputs {
        let (count, shape @ [_, channels, height, width]) = (parts_of(input), cx.shape(*input));
        let params = SquareSumParams {
            length: (map_len(shape) / 4) as u32,
            area: (height * width) as u32,
            slices: slices(channels) as u32,
            channels: channels as u32,
            parts: count as u32,
            first,
        };
        dispatches.push(of(false, params, vec![(1, Resource::Map(*input)), (2, parts)]));
        first += count as u32;
    }
    let params = SquareSumParams { length: first, parts: 1, ..SquareSumParams::default() };
    dispatches.push(of(true, params, vec![(1, parts), (2, Resource::Map(output))]));
    dispatches
}
