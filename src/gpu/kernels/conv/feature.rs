//! Feature composition in one dispatch: the convolutions with D and with W, without what lies between them.
//!
//! Forward, as one dispatch against two (`cargo run --example measure_layer -- llvmpipe`, medians of 5 runs in ms, S = 9,
//! batch 4; lavapipe of Mesa 22.3.6 and SwiftShader of Chromium 156 on 2 shared cores of an AMD EPYC 7003). `again` is how many
//! products more per value in between:
//!
//! | layer | again | lavapipe | SwiftShader |
//! |---|---:|---:|---:|
//! | 3 → 32, 3×3, stride 2, 64×64 | 9 | 37 : 59 | 109 : 115 |
//! | 16 → 16, 3×3, 32×32 | 0 | 96 : 228 | 180 : 416 |
//! | 64 → 64 in 8 groups, 3×3, 16×16 | 0 | 73 : 182 | 136 : 247 |
//! | 64 → 64, 3×3, 16×16 | 27 | 356 : 328 | 496 : 331 |
//!
//! On GPUs, of which none has been measured, it is decided by what writing and reading the values would cost.

use super::names;
use crate::gpu::kernels::context::Context;
use crate::gpu::policy::{Policy, Tier};
use crate::gpu::shader::{
    ActivationClass, Dispatch, Kernel, KernelLayout, Precisions, Resource, ShaderKey, params, slices,
};
use crate::network::Shape;
use crate::plan::{Conv, ValueId};

params! {
    /// The depthwise convolution's geometry, and the layer's groups. Rows of D are `d_row` long.
    FeatureParams {
        pixels: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32, out_channels: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
        d_mul: u32, d_row: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

pub(super) static FAMILY: Kernel = Kernel {
    name: "conv_feature",
    template: "conv/feature.wgsl",
    params: FeatureParams::BLOCK,
    precisions: Precisions::Stored,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let tiles = [(1, 1), (1, 2), (1, 4), (4, 1), (4, 2), (4, 4)].map(|(pixels, slices)| [pixels, slices, 3, 4]);
        let columns = [(1, 1), (2, 2), (3, 3), (4, 4), (1, 4), (2, 4)];
        let columns = columns.into_iter().flat_map(|(columns, lanes)| [2, 4].map(|slices| [4, slices, columns, lanes]));
        let tiles: Vec<_> = tiles.into_iter().chain(columns).collect();
        ActivationClass::ALL.into_iter().flat_map(|class| tiles.iter().map(move |&tile| key(tile, class))).collect()
    },
    ..Kernel::DEFAULT
};

/// Writing and reading a value takes a GPU as long as some 64 products: 8 bytes, at 8 products per byte.
const MOST_AGAIN_HARDWARE: usize = 64;
/// Measured, see the module's documentation.
const MOST_AGAIN_SOFTWARE: usize = 18;

fn key([pixels, slices, columns, lanes]: [u32; 4], activation: ActivationClass) -> ShaderKey {
    FAMILY
        .key([8, 4])
        .with("products", false)
        .with("split", false)
        .with("pixels", pixels)
        .with("slices", slices)
        .with("columns", columns)
        .with("lanes", lanes)
        .with("activation", activation)
}

/// Two convolutions that run as one.
pub struct FusedPair {
    /// What they are.
    pub dispatch: Dispatch,
    /// What lies between them and is never written.
    pub between: ValueId,
}

/// The dispatch for the steps at `index` and behind it, where they are feature composition, and running them as one can be and
/// pays.
pub fn lower_pair(cx: &Context<'_>, index: usize) -> Option<FusedPair> {
    let (depthwise, step) = cx.plan.feature_pair(index)?;
    let output @ [n, out_channels, out_height, out_width] = cx.shape(step.output);
    let shader = choose(depthwise, step, output, cx.policy)?;
    let (conv, groups) = (&depthwise.conv, step.conv.groups);
    let [_, in_channels, in_height, in_width] = cx.shape(depthwise.input);
    let (pixels, out_slices) = (n * out_height * out_width, slices(out_channels));
    let (_, [lower, upper]) = ActivationClass::of(step.activation);
    let params = FeatureParams {
        pixels: pixels as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        in_slices: slices(in_channels) as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        out_slices: out_slices as u32,
        out_channels: out_channels as u32,
        groups: groups as u32,
        group_in_slices: slices(in_channels / groups) as u32,
        group_out_slices: slices(step.conv.outputs_per_group()) as u32,
        group_inputs: (in_channels / groups) as u32,
        kernel_height: conv.kernel[0] as u32,
        kernel_width: conv.kernel[1] as u32,
        stride_y: conv.stride[0] as u32,
        stride_x: conv.stride[1] as u32,
        pad_top: conv.padding[0] as u32,
        pad_left: conv.padding[1] as u32,
        dilation_y: conv.dilation[0] as u32,
        dilation_x: conv.dilation[1] as u32,
        d_mul: conv.outputs_per_group() as u32,
        d_row: KernelLayout::of(conv).row_outputs as u32,
        residual: step.residual.is_some().into(),
        lower,
        upper,
    };
    // Something has to be bound as the residual even if there is none, and what lies between is not there.
    let residual = step.residual.unwrap_or(depthwise.input);
    let bindings = vec![
        (1, Resource::Map(depthwise.input)),
        (2, Resource::Kernel(step.kernel)),
        (6, Resource::Kernel(depthwise.kernel)),
        (3, Resource::Bias(step.kernel)),
        (4, Resource::Map(step.output)),
        (5, Resource::Map(residual)),
    ];
    let (tile_pixels, tile_slices) = (shader.count("pixels") as usize, shader.count("slices") as usize);
    let invocations = [pixels.div_ceil(tile_pixels), out_slices.div_ceil(tile_slices), 1];
    let dispatch = Dispatch::new(&step.name, shader, &params, bindings, invocations).chosen_as(names::FEATURE);
    Some(FusedPair { dispatch, between: depthwise.output })
}

/// `depthwise` is the convolution with D, `step` the one with W that alone reads it, `output` its result.
///
/// Fusing saves writing and reading S maps per input channel, and costs that every tile of outputs makes them anew.
fn choose(depthwise: &Conv, step: &Conv, output: Shape, policy: &Policy) -> Option<ShaderKey> {
    if !policy.allows(names::FEATURE) {
        return None;
    }
    let (conv, pointwise) = (&depthwise.conv, &step.conv);
    let d_mul = conv.outputs_per_group();
    let (cpg, q) = (conv.in_channels / pointwise.groups, pointwise.outputs_per_group());
    if pointwise.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return None;
    }
    let out_slices = slices(q);
    // Pixels and output slices of an invocation. GPUs spill registers of larger tiles, and of more columns:
    // `cargo xtask shader-stats`.
    let wanted = match policy.tier {
        _ if output[0] * output[2] * output[3] < 4 => [1, 4],
        Tier::Software => [4, 4],
        Tier::Hardware => [4, 2],
    };
    let tile = [wanted[1], 2, 1]
        .into_iter()
        .find(|&tile| if pointwise.groups == 1 { out_slices >= tile } else { out_slices.is_multiple_of(tile) })?;
    let tiles = out_slices.div_ceil(tile);
    // Products that are made once more, for every value that need not be written and read.
    let again = conv.taps() * (tiles - 1);
    let worth_it = match policy.tier {
        Tier::Software => again <= MOST_AGAIN_SOFTWARE,
        Tier::Hardware => again <= MOST_AGAIN_HARDWARE,
    };
    let columns = match policy.tier {
        Tier::Software => &[3, 4, 2][..],
        Tier::Hardware => &[3, 2],
    };
    let columns = columns.iter().copied().find(|&columns| d_mul.is_multiple_of(columns)).unwrap_or(1);
    let (activation, _) = ActivationClass::of(step.activation);
    let tile = [wanted[0], tile, columns, cpg.min(4)].map(|count| count as u32);
    worth_it.then(|| key(tile, activation))
}
