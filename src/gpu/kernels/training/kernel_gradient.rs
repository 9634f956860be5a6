//! The gradient of a convolution's kernel: `Σ grad_output · input` over batch and pixels.

use super::super::context::Context;
use super::parts::{Split, in_parts};
use crate::gpu::policy::Tier;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, Resource, ShaderKey, params, slices};
use crate::network::Conv2d;
use crate::plan::KernelGradient;

params! {
    /// Sums over parts of `part_pixels` output pixels. `length` is that of the gradient, in `vec4`.
    GradientParams {
        pixels: u32, part_pixels: u32, parts: u32, length: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32, outputs: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32, group_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
    }
}

/// From storage, with register tiles.
pub static DIRECT: Kernel = Kernel {
    name: "kernel_gradient_direct",
    template: "training/kernel_gradient_direct.wgsl",
    params: GradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [1, 2].into_iter().flat_map(|slices| [1, 4].map(|columns| direct(slices, columns))).collect(),
    ..Kernel::DEFAULT
};

/// Through workgroup memory.
pub static TILED: Kernel = Kernel {
    name: "kernel_gradient_tiled",
    template: "training/kernel_gradient_tiled.wgsl",
    params: GradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [1, 2].into_iter().flat_map(|slices| [1, 2].map(|columns| tiled(slices, columns))).collect(),
    ..Kernel::DEFAULT
};

/// For one input channel per group.
pub static DEPTHWISE: Kernel = Kernel {
    name: "kernel_gradient_depthwise",
    template: "training/kernel_gradient_depthwise.wgsl",
    params: GradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || (1..=9).flat_map(|taps| [false, true].map(|multiplier| depthwise(taps, multiplier))).collect(),
    ..Kernel::DEFAULT
};

/// For groups of any size.
pub static GROUPED: Kernel = Kernel {
    name: "kernel_gradient_grouped",
    template: "training/kernel_gradient_grouped.wgsl",
    params: GradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || (1..=4).map(grouped).collect(),
    ..Kernel::DEFAULT
};

/// Pixels that a workgroup of [`TILED`] stages at a time.
const DEPTH: u32 = 16;

/// Register tiles of so many output slices and columns: input slices at a tap.
fn direct(slices: u32, columns: u32) -> ShaderKey {
    typed(DIRECT.key([32, 1]).with("slices", slices).with("columns", columns), "vec4<f32>", "vec4<f32>")
}

/// The same for each of 8 × 8 invocations.
fn tiled(slices: u32, columns: u32) -> ShaderKey {
    let base = TILED.key([8, 8]).with("slices", slices).with("columns", columns);
    let base = base.with("tile_slices", 8 * slices).with("tile_columns", 8 * columns).with("depth", DEPTH);
    // Vectors that an invocation loads for a stage.
    let loads = |count: u32| 8 * count * DEPTH / 64;
    let base = base.with("value_loads", loads(columns)).with("gradient_loads", loads(slices));
    typed(base, "vec4<f32>", "vec4<f32>")
}

/// So many taps of an invocation; with a multiplier, several outputs share an input channel.
fn depthwise(taps: u32, multiplier: bool) -> ShaderKey {
    let input = if multiplier { "f32" } else { "vec4<f32>" };
    typed(DEPTHWISE.key([32, 1]).with("taps", taps).with("multiplier", multiplier), input, "vec4<f32>")
}

/// So many in-group input channels of an invocation that exist: fewer than four only where groups have fewer.
fn grouped(lanes: u32) -> ShaderKey {
    typed(GROUPED.key([32, 1]).with("lanes", lanes), "f32", "f32")
}

fn typed(key: ShaderKey, input_type: &'static str, grad_type: &'static str) -> ShaderKey {
    key.with("input_type", input_type).with("grad_type", grad_type)
}

pub fn lower(cx: &Context<'_>, step: &KernelGradient) -> Vec<Dispatch> {
    let conv = &step.conv;
    let [n, in_channels, in_height, in_width] = cx.shape(step.input);
    let [_, out_channels, out_height, out_width] = cx.shape(step.grad_output);
    let pixels = n * out_height * out_width;
    let shader = choose(conv, pixels, cx.policy.tier);
    let (taps, out_slices) = (conv.taps(), slices(out_channels));
    let (group_in_slices, group_out_slices) = (slices(conv.channels_per_group()), slices(conv.outputs_per_group()));
    let columns = taps * group_in_slices;
    let [wide_slices, wide_columns] = ["slices", "columns"].map(|name| shader.count(name) as usize);
    let is_tiled = *shader.kernel == TILED;
    let tiles = match shader.kernel {
        kernel if *kernel == TILED => {
            [columns.div_ceil(8 * wide_columns), group_out_slices.div_ceil(8 * wide_slices) * conv.groups]
        }
        kernel if *kernel == DIRECT => [columns.div_ceil(wide_columns) * out_slices.div_ceil(wide_slices), 1],
        kernel if *kernel == DEPTHWISE => [taps.div_ceil(shader.count("taps") as usize) * out_slices, 1],
        _ => [columns * out_channels, 1],
    };
    let (lanes, pixel_step) = if is_tiled { (64, DEPTH as usize) } else { (1, 1) };
    let length = out_channels * columns;
    let split = Split::new(pixels, tiles[0] * tiles[1] * lanes, 16 * length, pixel_step, cx.policy.tier);
    let params = GradientParams {
        pixels: pixels as u32,
        part_pixels: split.terms as u32,
        parts: split.parts as u32,
        length: length as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        in_slices: slices(in_channels) as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        out_slices: out_slices as u32,
        outputs: out_channels as u32,
        groups: conv.groups as u32,
        group_in_slices: group_in_slices as u32,
        group_out_slices: group_out_slices as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        kernel_height: conv.kernel[0] as u32,
        kernel_width: conv.kernel[1] as u32,
        stride_y: conv.stride[0] as u32,
        stride_x: conv.stride[1] as u32,
        pad_top: conv.padding[0] as u32,
        pad_left: conv.padding[1] as u32,
        dilation_y: conv.dilation[0] as u32,
        dilation_x: conv.dilation[1] as u32,
    };
    let invocations = if is_tiled { [tiles[0] * 8, tiles[1] * 8, split.parts] } else { [tiles[0], split.parts, 1] };
    in_parts(cx, split, length, step.output, |parts| {
        let bindings = vec![(1, Resource::Map(step.input)), (2, Resource::Map(step.grad_output)), (3, parts)];
        Dispatch::new(cx.name(step.output), shader, &params, bindings, invocations)
    })
}

/// The shader for a convolution. `pixels` are those of the output and the whole batch.
fn choose(conv: &Conv2d, pixels: usize, tier: Tier) -> ShaderKey {
    let (cpg, q) = (conv.channels_per_group(), conv.outputs_per_group());
    if cpg == 1 && conv.groups > 1 {
        return depthwise(conv.taps().min(9) as u32, q > 1);
    }
    if conv.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return grouped(cpg.min(4) as u32);
    }
    let (columns, slices) = (conv.taps() * slices(cpg), slices(q));
    if tier == Tier::Hardware && columns >= 8 && slices >= 4 && pixels >= DEPTH as usize {
        let double = |count: usize| if count > 8 { 2 } else { 1 };
        return tiled(double(slices), double(columns));
    }
    // GPUs spill registers of larger tiles: `cargo xtask shader-stats`.
    let may_double = tier == Tier::Software || columns < 4;
    let slices = if may_double && (slices.is_multiple_of(2) || (conv.groups == 1 && slices >= 3)) { 2 } else { 1 };
    direct(slices, if columns >= 4 { 4 } else { 1 })
}
