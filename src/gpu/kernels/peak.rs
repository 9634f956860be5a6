//! Shaders that do one thing as fast as the device can, for benchmarks.

use crate::gpu::shader::{Kernel, Precisions, Scalar, ShaderKey, params};

params! {
    /// Chains for benchmarks: how often they are run, and what they multiply by and add.
    FmaParams { rounds: u32, factor: f32, term: f32 }
}

params! {
    /// How many vectors are copied.
    CopyParams { vectors: u32 }
}

/// Chains of multiplications and additions.
pub static FMA: Kernel = Kernel {
    name: "peak_fma",
    template: "peak/fma.wgsl",
    params: FmaParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        [3, 8].into_iter().flat_map(|chains| [Scalar::F32, Scalar::F16].map(|scalar| fma(scalar, chains))).collect()
    },
    ..Kernel::DEFAULT
};

/// A buffer into another.
pub static COPY: Kernel = Kernel {
    name: "peak_copy",
    template: "peak/copy.wgsl",
    params: CopyParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![COPY.key([256, 1])],
    ..Kernel::DEFAULT
};

/// A dispatch that does next to nothing: one invocation adds one.
pub static COUNT: Kernel = Kernel {
    name: "peak_count",
    template: "peak/count.wgsl",
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![COUNT.key([1, 1])],
    ..Kernel::DEFAULT
};

/// Steps of a chain: what half precision can count, and a little room for where it begins.
pub const CHAIN_STEPS: u32 = 1024;
/// How many of them are written out.
const CHAIN_UNROLLED: u32 = 8;

/// Chains of numbers of a type, so many per invocation.
pub fn fma(scalar: Scalar, chains: u32) -> ShaderKey {
    let base = FMA.key([64, 1]).with("scalar", scalar.name()).with("chains", chains);
    base.with("steps", CHAIN_STEPS).with("unrolled", CHAIN_UNROLLED)
}
