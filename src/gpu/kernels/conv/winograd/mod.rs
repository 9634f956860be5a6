//! A Winograd convolution in three dispatches: inputs transformed, products, products transformed back. And before any of them,
//! once, its kernel.

use super::super::context::Context;
use super::bindings::stored;
use super::names::winograd as name;
use super::problem::ConvProblem;
use super::select::{KernelLayouts, choose_products};
use crate::gpu::policy::{Policy, Tier};
use crate::gpu::shader::{
    ActivationClass, Dispatch, Kernel, KernelLayout, Place, Precisions, Resource, ShaderKey, params, slices,
};
use crate::plan::{Conv, KernelId, KernelSource, Plan};
use crate::winograd::Winograd;

params! {
    /// What the transformations need to know; their tiles are those of all images together, of one, and of a row.
    WinogradParams {
        tiles: u32, image_tiles: u32, row_tiles: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32, out_channels: u32,
        pad_top: u32, pad_left: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

params! {
    /// Kernels to be transformed: `length` is that of one tap of all of them, in vectors.
    KernelParams { length: u32 }
}

/// Tiles of inputs, transformed.
static INPUT: Kernel = Kernel {
    name: "winograd_input",
    template: "conv/winograd/input.wgsl",
    params: WinogradParams::BLOCK,
    precisions: Precisions::Stored,
    derived: |key| matrix(key, Winograd::input),
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let of = |size| {
            [2, 4].into_iter().flat_map(move |channels| [false, true].map(|compact| input(size, channels, compact)))
        };
        Winograd::ALL.into_iter().flat_map(of).collect()
    },
};

/// Products transformed back, with bias, residual and activation.
static OUTPUT: Kernel = Kernel {
    name: "winograd_output",
    template: "conv/winograd/output.wgsl",
    params: WinogradParams::BLOCK,
    precisions: Precisions::Stored,
    derived: |key| matrix(key, Winograd::output),
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let of = |size| {
            let compact = [false, true].into_iter().map(move |compact| sized(&OUTPUT, size).with("compact", compact));
            compact.flat_map(|key| ActivationClass::ALL.map(|class| key.clone().with("activation", class)))
        };
        Winograd::ALL.into_iter().flat_map(of).collect()
    },
};

/// Kernels, transformed when they are loaded.
static KERNEL: Kernel = Kernel {
    name: "winograd_kernel",
    template: "conv/winograd/kernel.wgsl",
    params: KernelParams::BLOCK,
    precisions: Precisions::Single,
    derived: |key| matrix(key, Winograd::kernel),
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || Winograd::ALL.map(|size| sized(&KERNEL, size)).into(),
};

/// Its shader families, but for those of the products.
#[cfg(not(target_arch = "wasm32"))]
pub static FAMILIES: [&Kernel; 3] = [&INPUT, &KERNEL, &OUTPUT];

fn sized(family: &'static Kernel, size: Winograd) -> ShaderKey {
    let workgroup = if *family == KERNEL { [64, 1] } else { [16, 2] };
    family.key(workgroup).with("m", size.outputs() as u32).with("side", size.side() as u32)
}

/// So many channels of a slice are transformed by an invocation.
fn input(size: Winograd, channels: u32, compact: bool) -> ShaderKey {
    sized(&INPUT, size).with("channels", channels).with("compact", compact)
}

/// How many channels of a slice an invocation transforms. GPUs spill registers with four (`cargo xtask shader-stats`); software
/// adapters would compute addresses twice with two.
fn input_channels(policy: &Policy) -> u32 {
    if policy.tier == Tier::Hardware { 2 } else { 4 }
}

fn matrix(key: &ShaderKey, of: fn(Winograd) -> Vec<Vec<f64>>) -> minijinja::Value {
    let size = if key.count("m") == 2 { Winograd::F2 } else { Winograd::F4 };
    minijinja::context! { matrix => of(size) }
}

/// The dispatches that transform, once, every plain kernel of a plan that lies in memory transformed; of composed ones D is.
pub fn transform(plan: &Plan, layouts: &KernelLayouts, policy: &Policy) -> Vec<Dispatch> {
    if !policy.transforms_kernels() {
        return vec![];
    }
    let of = |(index, kernel): (usize, &crate::plan::Kernel)| {
        let (id, plain) = (KernelId(index), matches!(kernel.source, KernelSource::Plain(_)));
        let size = layouts.winograd(id).filter(|_| plain)?;
        let layout = KernelLayout::of(&kernel.conv);
        let length = layout.row_inputs * layout.row_outputs / 4;
        let params = KernelParams { length: length as u32 };
        let bindings = vec![(1, Resource::Taps(id)), (2, Resource::Kernel(id))];
        let label = format!("{} transformed", kernel.name);
        Some(Dispatch::new(label, sized(&KERNEL, size), &params, bindings, [length, 1, 1]).chosen_as(name(size)))
    };
    plan.kernels().iter().enumerate().filter_map(of).collect()
}

/// The three dispatches of a convolution whose kernel lies in memory transformed.
pub fn lower(cx: &Context<'_>, step: &Conv, size: Winograd) -> Vec<Dispatch> {
    let problem = ConvProblem::of(step, cx.shape(step.input), cx.shape(step.output));
    let ([n, in_channels, in_height, in_width], [_, out_channels, out_height, out_width]) =
        (problem.input, problem.output);
    let [rows, row_tiles] = size.tiles([out_height, out_width]);
    let tiles = n * rows * row_tiles;
    let (in_slices, out_slices) = (slices(in_channels), slices(out_channels));
    let (activation, [lower, upper]) = ActivationClass::of(step.activation);
    let params = WinogradParams {
        tiles: tiles as u32,
        image_tiles: (rows * row_tiles) as u32,
        row_tiles: row_tiles as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        in_slices: in_slices as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        out_slices: out_slices as u32,
        out_channels: out_channels as u32,
        pad_top: step.conv.padding[0] as u32,
        pad_left: step.conv.padding[1] as u32,
        residual: step.residual.is_some().into(),
        lower,
        upper,
    };
    let bytes = |slices: usize| (16 * size.places() * slices * tiles) as u64;
    let transformed = Resource::Scratch(Place::First, bytes(in_slices));
    let products = Resource::Scratch(Place::Second, bytes(out_slices));
    let (compact, channels) = (cx.policy.is_compact(), input_channels(cx.policy));
    let first = Dispatch::new(
        format!("{} inputs", step.name),
        input(size, channels, compact),
        &params,
        vec![(1, Resource::Map(step.input)), (2, transformed)],
        [tiles * 4 / channels as usize, in_slices, 1],
    );
    let bindings = [&[(1, products)], &stored(step)[..]].concat();
    let last = Dispatch::new(
        &step.name,
        sized(&OUTPUT, size).with("compact", compact).with("activation", activation),
        &params,
        bindings,
        [tiles, out_slices, 1],
    );
    let (of_products, kernel, tile) = choose_products(&problem, size, cx.policy);
    let middle = Dispatch::new(
        format!("{} products", step.name),
        kernel.shader(&of_products, &tile, cx.policy),
        &of_products.params(1, false, [0.0; 2]),
        vec![(1, transformed), (2, Resource::Kernel(step.kernel)), (4, products)],
        kernel.invocations(&of_products, &tile),
    );
    vec![first.chosen_as(name(size)), middle.chosen_as(kernel.name()), last.chosen_as(name(size))]
}
