//! Batch norms in training: statistics of the batch, normalising with them, and the backward pass.

use super::super::context::Context;
use super::parts::{Split, in_parts};
use crate::gpu::shader::{ActivationClass, Dispatch, Kernel, Place, Precisions, Resource, params, slices};
use crate::plan::{NormGradient, NormSums, Normalise, ValueId};

params! {
    /// What batch norms sum up over parts of the pixels.
    SumParams { pixels: u32, part_pixels: u32, parts: u32, area: u32, slices: u32, eps: f32 }
}

params! {
    /// Batch norms with given statistics.
    NormaliseParams {
        maps: u32, area: u32, slices: u32, channels: u32, residual: u32, eps: f32, lower: f32, upper: f32,
    }
}

params! {
    /// The backward pass through them; statistics were those of `count` values.
    GradientParams { maps: u32, area: u32, slices: u32, eps: f32, count: f32 }
}

/// Means and squared distances for parts of the pixels.
pub static STATISTICS: Kernel = Kernel {
    name: "batch_statistics",
    template: "training/batch_statistics.wgsl",
    params: SumParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![STATISTICS.key([32, 1])],
    ..Kernel::DEFAULT
};

/// Means and variances from those.
pub static JOINED: Kernel = Kernel {
    name: "join_statistics",
    template: "training/join_statistics.wgsl",
    params: SumParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![JOINED.key([32, 1])],
    ..Kernel::DEFAULT
};

/// A batch norm with given statistics.
pub static NORMALISE: Kernel = Kernel {
    name: "normalise",
    template: "training/normalise.wgsl",
    params: NormaliseParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![NORMALISE.key([64, 1]).with("activation", ActivationClass::Bounds)],
    ..Kernel::DEFAULT
};

/// What a batch norm's gradient sums up.
pub static SUMS: Kernel = Kernel {
    name: "norm_sums",
    template: "training/norm_sums.wgsl",
    params: SumParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![SUMS.key([32, 1])],
    ..Kernel::DEFAULT
};

/// The gradient of what was normalised.
pub static GRADIENT: Kernel = Kernel {
    name: "norm_gradient",
    template: "training/norm_gradient.wgsl",
    params: GradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![GRADIENT.key([64, 1])],
    ..Kernel::DEFAULT
};

/// What sums over batch and pixels need to know, and how these are split into parts.
fn sum_params(cx: &Context<'_>, input: ValueId, eps: f32) -> (SumParams, Split) {
    let [n, c, h, w] = cx.shape(input);
    let (pixels, slices) = (n * h * w, slices(c));
    let split = Split::new(pixels, slices, 32 * slices, 1, cx.policy.tier);
    let params = SumParams {
        pixels: pixels as u32,
        part_pixels: split.terms as u32,
        parts: split.parts as u32,
        area: (h * w) as u32,
        slices: slices as u32,
        eps,
    };
    (params, split)
}

pub fn statistics(cx: &Context<'_>, input: ValueId, output: ValueId) -> Vec<Dispatch> {
    let (params, split) = sum_params(cx, input, 0.0);
    let slices = params.slices as usize;
    let parts = Resource::Scratch(Place::First, (32 * slices * split.parts) as u64);
    let of = |family: &'static Kernel, bindings, invocations| {
        Dispatch::new(cx.name(output), family.key([32, 1]), &params, bindings, invocations)
    };
    vec![
        of(&STATISTICS, vec![(1, Resource::Map(input)), (2, parts)], [slices, split.parts, 1]),
        of(&JOINED, vec![(1, parts), (2, Resource::Map(output))], [slices, 1, 1]),
    ]
}

pub fn normalise(cx: &Context<'_>, step: &Normalise) -> Dispatch {
    let [n, c, h, w] = cx.shape(step.input);
    let (slices, area) = (slices(c), h * w);
    let (class, [lower, upper]) = ActivationClass::of(step.activation);
    debug_assert_eq!(class, ActivationClass::Bounds, "only clamping activations are fused in training");
    let params = NormaliseParams {
        maps: (n * slices) as u32,
        area: area as u32,
        slices: slices as u32,
        channels: c as u32,
        residual: step.residual.is_some().into(),
        eps: step.eps,
        lower,
        upper,
    };
    // Something has to be bound as the residual even if there is none.
    let residual = step.residual.unwrap_or(step.input);
    let bound = vec![(1, step.input), (2, step.statistics), (3, step.affine), (4, residual), (5, step.output)];
    let shader = NORMALISE.key([64, 1]).with("activation", ActivationClass::Bounds);
    cx.maps_dispatch(shader, &params, bound, [area, n * slices, 1])
}

pub fn sums(cx: &Context<'_>, step: &NormSums) -> Vec<Dispatch> {
    let (params, split) = sum_params(cx, step.input, step.eps);
    let slices = params.slices as usize;
    in_parts(cx, split, 2 * slices, step.output, |parts| {
        let maps = [(1, step.input), (2, step.statistics), (3, step.grad_output)];
        let maps = maps.map(|(at, value)| (at, Resource::Map(value)));
        let bindings = maps.into_iter().chain([(4, parts)]).collect();
        Dispatch::new(cx.name(step.output), SUMS.key([32, 1]), &params, bindings, [slices, split.parts, 1])
    })
}

pub fn gradient(cx: &Context<'_>, step: &NormGradient) -> Dispatch {
    let [n, c, h, w] = cx.shape(step.input);
    let (slices, area) = (slices(c), h * w);
    let params = GradientParams {
        maps: (n * slices) as u32,
        area: area as u32,
        slices: slices as u32,
        eps: step.eps,
        count: (n * area) as f32,
    };
    let bound = vec![
        (1, step.input),
        (2, step.statistics),
        (3, step.affine),
        (4, step.sums),
        (5, step.grad_output),
        (6, step.output),
    ];
    cx.maps_dispatch(GRADIENT.key([64, 1]), &params, bound, [area, n * slices, 1])
}
