//! Long sums in parts that are added up in a second pass, always in the same order: the same run gives the same bits.

use super::super::context::Context;
use crate::gpu::policy::Tier;
use crate::gpu::shader::{Dispatch, Kernel, Place, Precisions, Resource, params};
use crate::plan::ValueId;

params! {
    /// The second pass of a split sum.
    SumParams { length: u32, parts: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "sum_parts",
    template: "training/sum_parts.wgsl",
    params: SumParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

/// How a long sum is split into parts that are summed by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Number of parts.
    pub parts: usize,
    /// Terms of each; the last may have fewer.
    pub terms: usize,
}

/// Bytes that the parts of a sum may take together.
const PARTS_BYTES: usize = 32 << 20;

impl Split {
    /// Splits `terms` into parts so that `invocations` of them with one part each are enough to occupy the adapter; parts
    /// are multiples of `step`, and no shorter than pays. `bytes` is what the result of one part takes.
    pub fn new(terms: usize, invocations: usize, bytes: usize, step: usize, tier: Tier) -> Self {
        // Software adapters have as many invocations under way as a CPU has vector lanes, GPUs tens of thousands.
        let (enough, least) = match tier {
            Tier::Software => (2048, 64),
            Tier::Hardware => (65_536, 128),
        };
        let wanted = enough / invocations.max(1);
        let most = (terms / least).min(PARTS_BYTES / bytes.max(1)).min(4096);
        let terms_each = terms.div_ceil(wanted.min(most).max(1)).next_multiple_of(step);
        Self { parts: terms.div_ceil(terms_each), terms: terms_each }
    }
}

/// A sum in one pass where it has one part, else in two. `length` is that of the result, in `vec4`.
pub fn in_parts(
    cx: &Context<'_>,
    split: Split,
    length: usize,
    output: ValueId,
    first: impl FnOnce(Resource) -> Dispatch,
) -> Vec<Dispatch> {
    if split.parts == 1 {
        return vec![first(Resource::Map(output))];
    }
    let parts = Resource::Scratch(Place::First, (16 * length * split.parts) as u64);
    let params = SumParams { length: length as u32, parts: split.parts as u32 };
    let bindings = vec![(1, parts), (2, Resource::Map(output))];
    vec![first(parts), Dispatch::new(cx.name(output), FAMILY.key([64, 1]), &params, bindings, [length, 1, 1])]
}
