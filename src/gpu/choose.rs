//! Which kernel runs a convolution: heuristics by shape and tier.
//!
//! Feature composition, forward, as one dispatch against two (`cargo run --example measure_layer -- llvmpipe`, medians of 5
//! runs in ms, S = 9, batch 4; lavapipe of Mesa 22.3.6 and SwiftShader of Chromium 156 on 2 shared cores of an AMD EPYC
//! 7003). `again` is how many products more per value in between:
//!
//! | layer | again | lavapipe | SwiftShader |
//! |---|---:|---:|---:|
//! | 3 → 32, 3×3, stride 2, 64×64 | 9 | 37 : 59 | 109 : 115 |
//! | 16 → 16, 3×3, 32×32 | 0 | 96 : 228 | 180 : 416 |
//! | 64 → 64 in 8 groups, 3×3, 16×16 | 0 | 73 : 182 | 136 : 247 |
//! | 64 → 64, 3×3, 16×16 | 27 | 356 : 328 | 496 : 331 |
//!
//! On GPUs, of which none has been measured, it is decided by what writing and reading the values would cost.

use super::Tier;
use super::layout::slices;
use super::shader::{ActivationClass, Epilogue, GRADIENT_DEPTH, Shader};
use crate::network::{Conv2d, Shape};
use crate::plan::Conv;

/// The families that can run a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// [`Shader::ConvDirect`].
    Direct,
    /// [`Shader::ConvTiled`].
    Tiled,
    /// [`Shader::ConvDepthwise`].
    Depthwise,
    /// [`Shader::ConvGrouped`].
    Grouped,
}

/// Most input columns that an invocation of the depthwise kernel keeps in registers.
const MAX_COLUMNS: usize = 24;

/// The families that can run this convolution, most special first; the last one can run any.
pub fn families(step: &Conv) -> Vec<Family> {
    let conv = &step.conv;
    let whole_slices = conv.channels_per_group().is_multiple_of(4) && conv.outputs_per_group().is_multiple_of(4);
    let mut families = vec![];
    if conv.is_depthwise() && conv.outputs_per_group() == 1 && columns(step, 1) <= MAX_COLUMNS {
        families.push(Family::Depthwise);
    }
    if conv.groups == 1 || whole_slices {
        families.extend([Family::Tiled, Family::Direct]);
    }
    if conv.groups > 1 {
        families.push(Family::Grouped);
    }
    families
}

/// Chooses a shader for a convolution with this output.
pub fn choose(step: &Conv, output: Shape, tier: Tier) -> Shader {
    let families = families(step);
    // A tile of the workgroup-memory kernel wants enough pixels and channels to fill it.
    let [n, c, h, w] = output;
    let fills_tile = n * h * w >= 32 && c / step.conv.groups >= 16;
    let wanted = match tier {
        Tier::Hardware if fills_tile => families[0],
        _ => families.iter().copied().find(|&family| family != Family::Tiled).unwrap_or(families[0]),
    };
    specialise(step, output, wanted)
}

/// The shader of a family for a convolution with this output. The family must be one of [`families`].
pub fn specialise(step: &Conv, output: Shape, family: Family) -> Shader {
    let conv = &step.conv;
    let epilogue = Epilogue { residual: step.residual.is_some(), activation: ActivationClass::of(step.activation).0 };
    let lanes = conv.channels_per_group().min(4) as u32;
    match family {
        Family::Direct => direct(step, output, lanes, epilogue),
        Family::Tiled => {
            let slices = if slices(conv.outputs_per_group()) >= 16 { 2 } else { 1 };
            Shader::ConvTiled { slices, lanes, epilogue }
        }
        Family::Depthwise => {
            let outputs = [4, 2, 1].into_iter().find(|&outputs| columns(step, outputs) <= MAX_COLUMNS).unwrap_or(1);
            Shader::ConvDepthwise {
                outputs: outputs.min(output[3].next_power_of_two()) as u32,
                kernel: conv.kernel.map(|extent| extent as u32),
                stride_x: conv.stride[1] as u32,
                dilation_x: conv.dilation[1] as u32,
                workgroup: [8, 8],
                epilogue,
            }
        }
        Family::Grouped => Shader::ConvGrouped { epilogue },
    }
}

fn direct(step: &Conv, output: Shape, lanes: u32, epilogue: Epilogue) -> Shader {
    let conv = &step.conv;
    let pixels_total = output[0] * output[2] * output[3];
    let group_slices = slices(conv.outputs_per_group());
    // Tall tiles reuse every weight most, which is what software adapters gain from; on the two here 16 × 2 ran a whole
    // network in half the time of 4 × 4 and 4 × 2. Small maps would leave the pixels of a tall tile idle.
    let pixels = [16, 4].into_iter().find(|&pixels| pixels_total >= pixels).unwrap_or(1);
    let slices = if group_slices.is_multiple_of(2) || (conv.groups == 1 && group_slices >= 3) { 2 } else { 1 };
    let tiles = pixels_total.div_ceil(pixels);
    // One shape for all sizes: a wider one for large maps is no faster, and every shape is a pipeline to compile.
    let workgroup = if tiles <= 1 { [1, 32] } else { [8, 4] };
    let pointwise = conv.taps() == 1 && conv.stride == [1, 1] && conv.padding == [0; 4];
    Shader::ConvDirect { pixels: pixels as u32, slices: slices as u32, workgroup, lanes, pointwise, epilogue }
}

/// Input columns that `outputs` neighbouring pixels of a row need.
fn columns(step: &Conv, outputs: usize) -> usize {
    let conv = &step.conv;
    (outputs - 1) * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilation[1] + 1
}

/// How a long sum is cut into parts that are summed by themselves.
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
    /// Cuts `terms` into parts so that `invocations` of them with one part each are enough to occupy the adapter; parts
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

/// Chooses a shader for the gradient of a convolution's kernel. `pixels` are those of the output and the whole batch.
pub fn choose_kernel_gradient(conv: &Conv2d, pixels: usize, tier: Tier) -> Shader {
    let (cpg, q) = (conv.channels_per_group(), conv.outputs_per_group());
    if cpg == 1 && conv.groups > 1 {
        return Shader::KernelGradientDepthwise { taps: conv.taps().min(9) as u32, multiplier: q > 1 };
    }
    if conv.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return Shader::KernelGradientGrouped { lanes: cpg.min(4) as u32 };
    }
    let (columns, slices) = (conv.taps() * slices(cpg), slices(q));
    if tier == Tier::Hardware && columns >= 8 && slices >= 4 && pixels >= GRADIENT_DEPTH as usize {
        let double = |count: usize| if count > 8 { 2 } else { 1 };
        return Shader::KernelGradientTiled { slices: double(slices), columns: double(columns) };
    }
    let slices = if slices.is_multiple_of(2) || (conv.groups == 1 && slices >= 3) { 2 } else { 1 };
    Shader::KernelGradientDirect { slices, columns: if columns >= 4 { 4 } else { 1 } }
}

/// Chooses the shader that runs the two convolutions of feature composition as one, where that can be and pays.
/// `depthwise` is the one with D, `step` the one with W that alone reads it, `output` its result.
///
/// Fusing saves writing and reading S maps per input channel, and costs that every tile of outputs makes them anew.
pub fn choose_feature(depthwise: &Conv, step: &Conv, output: Shape, tier: Tier) -> Option<Shader> {
    let (conv, pointwise) = (&depthwise.conv, &step.conv);
    let d_mul = conv.outputs_per_group();
    let (cpg, q) = (conv.in_channels / pointwise.groups, pointwise.outputs_per_group());
    if pointwise.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return None;
    }
    let out_slices = slices(q);
    let wanted = if output[0] * output[2] * output[3] >= 4 { FEATURE_TILE } else { [1, 4] };
    let tile = [wanted[1], 2, 1]
        .into_iter()
        .find(|&tile| if pointwise.groups == 1 { out_slices >= tile } else { out_slices.is_multiple_of(tile) })?;
    let tiles = out_slices.div_ceil(tile);
    // Products that are made once more, for every value that need not be written and read.
    let again = conv.taps() * (tiles - 1);
    let worth_it = match tier {
        Tier::Software => again <= MOST_AGAIN_SOFTWARE,
        Tier::Hardware => again <= MOST_AGAIN_HARDWARE,
    };
    let columns = [3, 4, 2].into_iter().find(|&columns| d_mul.is_multiple_of(columns)).unwrap_or(1);
    let epilogue = Epilogue { residual: step.residual.is_some(), activation: ActivationClass::of(step.activation).0 };
    let (pixels, slices, lanes) = (wanted[0] as u32, tile as u32, cpg.min(4) as u32);
    worth_it.then_some(Shader::ConvFeature { pixels, slices, columns: columns as u32, lanes, epilogue })
}

/// Pixels and output slices of an invocation of [`Shader::ConvFeature`].
const FEATURE_TILE: [usize; 2] = [4, 4];
/// Writing and reading a value takes a GPU as long as some 64 products: 8 bytes, at 8 products per byte.
const MOST_AGAIN_HARDWARE: usize = 64;
/// Measured, see the module's documentation.
const MOST_AGAIN_SOFTWARE: usize = 18;
