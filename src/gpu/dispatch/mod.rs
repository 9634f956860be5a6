//! From steps to dispatches: shader, parameters, bindings and grid, all without a device.

#[cfg(training)]
mod gradient;
mod kernel;
mod moving;
mod winograd;

use kernel::compose;

use super::choose::{Chosen, Policy, Transformed, choose, choose_feature, transformed};
use super::layout::{KernelLayout, slices};
use super::params;
use super::shader::{
    ActivationClass, COOPERATIVE_PIXELS, COOPERATIVE_SIDE, SOFTMAX_COLUMNS, Shader, TILE_COLUMNS, TILE_PIXELS,
};
use super::variant::Variant;
use super::winograd::Winograd;
use crate::network::Shape;
use crate::plan::{ArenaId, Binary, ConstantId, Conv, Kernel, KernelId, KernelSource, Plan, Pool, Step, ValueId};
use crate::{Error, Precision, Result};

/// One run of one shader.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// What it computes, for people.
    pub label: String,
    /// Which shader.
    pub shader: Shader,
    /// In what precision it stores and computes.
    pub precision: Precision,
    /// Contents of binding 0.
    pub params: Vec<u8>,
    /// What is bound, with its binding number.
    pub bindings: Vec<(u32, Resource)>,
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
}

impl Dispatch {
    /// The shader in its precision.
    pub fn variant(&self) -> Variant {
        Variant { shader: self.shader, precision: self.precision }
    }

    fn in_precision(self, wanted: Precision) -> Self {
        Self { precision: Variant::new(self.shader, wanted).precision, ..self }
    }
}

/// What a binding refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A feature map.
    Map(ValueId),
    /// A kernel, plain or composed; transformed for Winograd's filtering where that runs.
    Kernel(KernelId),
    /// A plain kernel that is still to be transformed.
    Taps(KernelId),
    /// Its bias.
    Bias(KernelId),
    /// A map that never changes.
    Constant(ConstantId),
    /// All values of an arena.
    Arena(ArenaId),
    /// W of a composed kernel.
    W(KernelId),
    /// D of a composed kernel.
    D(KernelId),
    /// What a dispatch leaves for the next one: so many bytes, in one of two places.
    Scratch(Place, u64),
}

/// A dispatch may read in one place what it was left, and leave something in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The first one.
    First,
    /// The other one.
    Second,
}

/// WebGPU's baseline for `maxComputeWorkgroupsPerDimension`, which every adapter has.
pub const MAX_GROUPS: u64 = 65_535;

/// The dispatches of one run with a batch, with convolutions as [`choose`] thinks best.
///
/// # Errors
/// [`Error::Limit`] if a grid is larger than WebGPU allows; [`Error::Unsupported`] for gradients in half precision.
pub fn run(plan: &Plan, batch: usize, policy: &Policy) -> Result<Vec<Dispatch>> {
    if policy.precision != Precision::F32 && plan.steps.iter().any(is_of_gradients) {
        let reason = format!("gradients are computed in f32, not in {}; use precision `f32`", policy.precision.name());
        return Err(Error::Unsupported(reason));
    }
    let mut dispatches = vec![];
    let lowering = Lowering { plan, batch, policy, transformed: transformed(plan, policy) };
    let mut index = 0;
    while let Some(step) = plan.steps.get(index) {
        if let Some(fused) = lowering.feature(index)? {
            dispatches.push(fused.in_precision(policy.precision));
            index += 2;
            continue;
        }
        let of_step = lowering.step(step)?;
        dispatches.extend(of_step.into_iter().map(|dispatch| lowering.in_precision(step, dispatch)));
        index += 1;
    }
    Ok(dispatches)
}

/// The values that [`run`] with this batch never writes: what lies between two convolutions that it runs as one.
pub fn unwritten(plan: &Plan, batch: usize, policy: &Policy) -> Vec<ValueId> {
    let between = |index| {
        let (depthwise, step) = plan.feature_pair(index)?;
        let output = plan.value(step.output).batched(batch);
        choose_feature(depthwise, step, output, policy).map(|_| depthwise.output)
    };
    (0..plan.steps.len()).filter_map(between).collect()
}

/// The dispatches that transform, once, every plain kernel that Winograd's filtering wants transformed.
///
/// # Errors
/// Those of [`run`].
pub fn transform(plan: &Plan, policy: &Policy) -> Result<Vec<Dispatch>> {
    if !policy.transforms_kernels() {
        return Ok(vec![]);
    }
    let transformed = transformed(plan, policy);
    let of = |(index, kernel): (usize, &Kernel)| {
        let (id, plain) = (KernelId(index), matches!(kernel.source, KernelSource::Plain(_)));
        transformed.get(id).filter(|_| plain).map(|size| winograd::kernel(kernel, id, size))
    };
    plan.kernels.iter().enumerate().filter_map(of).collect()
}

/// The dispatches that compose, once, every composed kernel that no step composes for every run.
///
/// # Errors
/// Those of [`run`].
pub fn fold(plan: &Plan, policy: &Policy) -> Result<Vec<Dispatch>> {
    let transformed = transformed(plan, policy);
    let composed =
        |id: &KernelId| matches!(plan.kernel(*id).source, KernelSource::Composed(_)) && !plan.composes_every_run(*id);
    let compose = |id| {
        let size = transformed.get(id);
        Ok(compose(plan, id, size)?.in_precision(kernel_precision(policy, size)))
    };
    (0..plan.kernels.len()).map(KernelId).filter(composed).map(compose).collect()
}

/// How a kernel is stored. Transformed ones keep all bits, because transforming back makes more of what is lost: up to 8 times
/// along each axis.
pub fn kernel_precision(policy: &Policy, transformed: Option<Winograd>) -> Precision {
    if transformed.is_some() { Precision::F32 } else { policy.precision }
}

fn is_of_gradients(step: &Step) -> bool {
    use Step::{BiasGradient, ComposeGradient, KernelGradient, PadGradient, Train, Transpose};
    matches!(
        step,
        KernelGradient(_) | BiasGradient { .. } | ComposeGradient(_) | PadGradient(_) | Transpose(_) | Train(_)
    )
}

pub(super) struct Lowering<'a> {
    pub(super) plan: &'a Plan,
    pub(super) batch: usize,
    pub(super) policy: &'a Policy,
    /// Kernels that lie in memory as Winograd's filtering wants them.
    transformed: Transformed,
}

impl Lowering<'_> {
    pub(super) fn shape(&self, value: ValueId) -> Shape {
        self.plan.value(value).batched(self.batch)
    }

    fn in_precision(&self, step: &Step, dispatch: Dispatch) -> Dispatch {
        dispatch.in_precision(match step {
            Step::Compose(kernel) => kernel_precision(self.policy, self.transformed.get(*kernel)),
            _ => self.policy.precision,
        })
    }

    fn step(&self, step: &Step) -> Result<Vec<Dispatch>> {
        Ok(vec![match step {
            Step::KernelGradient(_)
            | Step::BiasGradient { .. }
            | Step::ComposeGradient(_)
            | Step::PadGradient(_)
            | Step::Transpose(_)
            | Step::KernelMap { .. }
            | Step::Train(_) => return self.backward(step),
            Step::Compose(kernel) => compose(self.plan, *kernel, self.transformed.get(*kernel))?,
            Step::Conv(conv) => match self.transformed.get(conv.kernel) {
                Some(size) => return self.winograd(conv, size),
                None => return self.conv(conv),
            },
            Step::Pool(pool) => self.pool(pool)?,
            Step::Binary(binary) => self.binary(binary)?,
            Step::Concat { inputs, output } => return self.concat(inputs, *output),
            Step::Activation { activation, input, output } => {
                let (activation, bounds) = ActivationClass::of(Some(*activation));
                let shader = Shader::Elementwise { operator: None, broadcast: false, activation };
                self.elementwise(shader, bounds, 1, vec![(1, *input)], *output)?
            }
            Step::GlobalPool { kind, input, output } => {
                let [n, c, h, w] = self.shape(*input);
                let maps = n * slices(c);
                let params = params::GlobalPool { maps: maps as u32, area: (h * w) as u32 };
                let shader = Shader::GlobalPool { kind: *kind };
                self.maps_dispatch(shader, &params, vec![(1, *input), (2, *output)], [maps, 1, 1])?
            }
            Step::Constant { constant, output } => self.constant(*constant, *output)?,
            Step::Rearrange { view, input, output } => self.rearrange(view, *input, *output)?,
            Step::Pad(pad) => self.pad(pad)?,
            Step::Resize { rows, columns, input, output } => {
                let [n, c, in_height, in_width] = self.shape(*input);
                let [_, _, height, width] = self.shape(*output);
                let maps = n * slices(c);
                let params = params::Resize {
                    maps: maps as u32,
                    area: (height * width) as u32,
                    width: width as u32,
                    in_height: in_height as u32,
                    in_width: in_width as u32,
                    taps: self.plan.constant(*rows).shape[3] as u32,
                };
                let bindings = vec![
                    (1, Resource::Map(*input)),
                    (2, Resource::Map(*output)),
                    (3, Resource::Constant(*rows)),
                    (4, Resource::Constant(*columns)),
                ];
                let label = &self.plan.value(*output).name;
                dispatch(label, Shader::Resize, &params, bindings, [height * width, maps, 1])?
            }
            Step::Lrn { lrn, input, output } => {
                let [n, c, h, w] = self.shape(*input);
                let maps = n * slices(c);
                let before = (lrn.size - 1) / 2;
                let params = params::Lrn {
                    maps: maps as u32,
                    area: (h * w) as u32,
                    channels: c as u32,
                    before: before as u32,
                    behind: (lrn.size - 1 - before) as u32,
                    factor: lrn.alpha / lrn.size as f32,
                    beta: lrn.beta,
                    k: lrn.k,
                };
                self.maps_dispatch(Shader::Lrn, &params, vec![(1, *input), (2, *output)], [h * w, maps, 1])?
            }
            Step::Softmax { logarithm, input, output } => {
                let [n, c, h, w] = self.shape(*input);
                let params = params::Softmax { area: (h * w) as u32, channels: c as u32 };
                let shader = Shader::Softmax { logarithm: *logarithm };
                let lanes = shader.workgroup()[0] as usize;
                let columns = (h * w).min(SOFTMAX_COLUMNS as usize);
                let invocations = [columns * lanes, (h * w).div_ceil(columns), n];
                self.maps_dispatch(shader, &params, vec![(1, *input), (2, *output)], invocations)?
            }
        }])
    }

    /// What builds without training have no plans with.
    #[cfg(not(training))]
    fn backward(&self, _: &Step) -> Result<Vec<Dispatch>> {
        Err(Error::Unsupported("this build has no gradients".into()))
    }

    /// Steps of training, and of looking at a layer.
    #[cfg(training)]
    fn backward(&self, step: &Step) -> Result<Vec<Dispatch>> {
        Ok(vec![match step {
            Step::KernelGradient(step) => return self.kernel_gradient(step),
            Step::BiasGradient { grad_output, output } => return self.bias_gradient(*grad_output, *output),
            Step::ComposeGradient(step) => return self.compose_gradient(step),
            Step::Train(step) => return self.training_step(step),
            Step::Transpose(kernel) => gradient::transpose(self.plan, *kernel)?,
            Step::KernelMap { kernel, output } => self.kernel_map(*kernel, *output)?,
            Step::PadGradient(step) => self.pad_gradient(step)?,
            _ => return Err(Error::Unsupported("no step of the way back".into())),
        }])
    }

    /// Feature composition in one dispatch, where it can be and pays.
    fn feature(&self, index: usize) -> Result<Option<Dispatch>> {
        let Some((depthwise, step)) = self.plan.feature_pair(index) else { return Ok(None) };
        let output @ [n, out_channels, out_height, out_width] = self.shape(step.output);
        let Some(shader) = choose_feature(depthwise, step, output, self.policy) else { return Ok(None) };
        let Shader::ConvFeature { pixels: tile_pixels, slices: tile_slices, .. } = shader else { return Ok(None) };
        let (conv, groups) = (&depthwise.conv, step.conv.groups);
        let [_, in_channels, in_height, in_width] = self.shape(depthwise.input);
        let (pixels, out_slices) = (n * out_height * out_width, slices(out_channels));
        let (_, [lower, upper]) = ActivationClass::of(step.activation);
        let params = params::ConvFeature {
            pixels: pixels as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            in_slices: slices(in_channels) as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            out_slices: out_slices as u32,
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
        let inputs = [
            (1, Resource::Map(depthwise.input)),
            (2, Resource::Kernel(step.kernel)),
            (6, Resource::Kernel(depthwise.kernel)),
        ];
        let bindings = [&inputs[..], &stored(step, depthwise.input)].concat();
        let invocations = [pixels.div_ceil(tile_pixels as usize), out_slices.div_ceil(tile_slices as usize), 1];
        dispatch(&step.name, shader, &params, bindings, invocations).map(Some)
    }

    fn conv(&self, step: &Conv) -> Result<Vec<Dispatch>> {
        let conv = &step.conv;
        let [n, in_channels, in_height, in_width] = self.shape(step.input);
        let output @ [_, out_channels, out_height, out_width] = self.shape(step.output);
        let Chosen { shader, parts } = choose(step, output, self.policy);
        let parts = parts as usize;
        let pixels = n * out_height * out_width;
        let out_slices = slices(out_channels);
        let group_out_slices = slices(conv.outputs_per_group());
        let (_, [lower, upper]) = ActivationClass::of(step.activation);
        let params = params::Conv {
            pixels: pixels as u32,
            maps: (n * out_slices) as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            in_slices: slices(in_channels) as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            out_slices: out_slices as u32,
            groups: conv.groups as u32,
            group_in_slices: slices(conv.channels_per_group()) as u32,
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
            parts: parts as u32,
            part_slices: slices(conv.channels_per_group()).div_ceil(parts) as u32,
            residual: step.residual.is_some().into(),
            lower,
            upper,
        };
        let invocations = match shader {
            Shader::ConvDirect { pixels: tile, slices, .. } => {
                [pixels.div_ceil(tile as usize), out_slices.div_ceil(slices as usize), parts]
            }
            Shader::ConvTiled { slices, .. } => {
                let columns = (TILE_COLUMNS * slices) as usize;
                let tiles = [pixels.div_ceil(TILE_PIXELS as usize), group_out_slices.div_ceil(columns)];
                [tiles[0] * 8, tiles[1] * 8, conv.groups * parts]
            }
            Shader::ConvCooperative { columns, .. } => {
                let tile = (columns * COOPERATIVE_SIDE / 4) as usize;
                let side = COOPERATIVE_PIXELS as usize;
                [pixels.next_multiple_of(side), group_out_slices / tile, conv.groups]
            }
            Shader::ConvDepthwise { outputs, .. } => {
                [out_width.div_ceil(outputs as usize) * out_height, n * out_slices, 1]
            }
            _ => [pixels, out_slices, 1],
        };
        let inputs = [(1, Resource::Map(step.input)), (2, Resource::Kernel(step.kernel))];
        if parts == 1 {
            let bindings = [&inputs[..], &stored(step, step.input)].concat();
            return Ok(vec![dispatch(&step.name, shader, &params, bindings, invocations)?]);
        }
        let sums = Resource::Scratch(Place::First, (16 * parts * out_slices * pixels) as u64);
        let label = format!("{} in parts", step.name);
        let first = dispatch(&label, shader, &params, [&inputs[..], &[(4, sums)]].concat(), invocations)?;
        let activation = ActivationClass::of_step(step);
        let bindings = [&[(1, sums)], &stored(step, step.input)[..]].concat();
        let invocations = [out_height * out_width, n * out_slices, 1];
        Ok(vec![first, dispatch(&step.name, Shader::ConvSum { activation }, &params, bindings, invocations)?])
    }

    fn pool(&self, pool: &Pool) -> Result<Dispatch> {
        let [n, c, out_height, out_width] = self.shape(pool.output);
        let shader = Shader::Pool { kind: pool.kind };
        let maps_bound = vec![(1, pool.input), (2, pool.output)];
        let invocations = [out_height * out_width, n * slices(c), 1];
        self.maps_dispatch(shader, &self.pool_params(pool), maps_bound, invocations)
    }

    pub(super) fn pool_params(&self, pool: &Pool) -> params::Pool {
        let [n, c, in_height, in_width] = self.shape(pool.input);
        let [_, _, out_height, out_width] = self.shape(pool.output);
        params::Pool {
            maps: (n * slices(c)) as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            kernel_height: pool.kernel[0] as u32,
            kernel_width: pool.kernel[1] as u32,
            stride_y: pool.stride[0] as u32,
            stride_x: pool.stride[1] as u32,
            pad_top: pool.padding[0] as u32,
            pad_left: pool.padding[1] as u32,
            pad_bottom: pool.padding[2] as u32,
            pad_right: pool.padding[3] as u32,
            dilation_y: pool.dilation[0] as u32,
            dilation_x: pool.dilation[1] as u32,
        }
    }

    fn binary(&self, binary: &Binary) -> Result<Dispatch> {
        let (activation, bounds) = ActivationClass::of(binary.activation);
        let (a, b, output) = (self.shape(binary.a), self.shape(binary.b), self.shape(binary.output));
        let broadcast = a != output || (b != output && b != [output[0], output[1], 1, 1]);
        let shader = Shader::Elementwise { operator: Some(binary.op), broadcast, activation };
        let maps = vec![(1, binary.a), (2, binary.b)];
        if !broadcast {
            return self.elementwise(shader, bounds, b[2] * b[3], maps, binary.output);
        }
        // Distances in vectors along elements of the batch, items, slices, rows and columns; none along axes that repeat.
        let strides = |[n, c, h, w]: Shape| {
            let items = n / self.batch;
            let of = |repeats: bool, stride: usize| if repeats { 0 } else { stride as u32 };
            let area = h * w;
            [
                (items * slices(c) * area) as u32,
                of(items == 1, slices(c) * area),
                of(c == 1, area),
                of(h == 1, w),
                of(w == 1, 1),
            ]
        };
        let ([n, c, h, w], [lower, upper]) = (output, bounds);
        let single = |shape: Shape| u32::from(shape[1] == 1 && c > 1);
        let [a_element, a_item, a_slice, a_row, a_column] = strides(a);
        let [b_element, b_item, b_slice, b_row, b_column] = strides(b);
        let count = n * slices(c);
        let params = params::Broadcast {
            maps: count as u32,
            area: (h * w) as u32,
            items: (n / self.batch) as u32,
            slices: slices(c) as u32,
            width: w as u32,
            a_element,
            a_item,
            a_slice,
            a_row,
            a_column,
            a_single: single(a),
            b_element,
            b_item,
            b_slice,
            b_row,
            b_column,
            b_single: single(b),
            lower,
            upper,
        };
        self.maps_dispatch(shader, &params, [maps, vec![(3, binary.output)]].concat(), [h * w, count, 1])
    }

    fn elementwise(
        &self,
        shader: Shader,
        [lower, upper]: [f32; 2],
        b_area: usize,
        mut maps: Vec<(u32, ValueId)>,
        output: ValueId,
    ) -> Result<Dispatch> {
        let [n, c, h, w] = self.shape(output);
        let count = n * slices(c);
        let params =
            params::Elementwise { maps: count as u32, area: (h * w) as u32, b_area: b_area as u32, lower, upper };
        maps.push((3, output));
        self.maps_dispatch(shader, &params, maps, [h * w, count, 1])
    }

    /// A dispatch that binds nothing but maps, the last of which names it.
    pub(super) fn maps_dispatch<P: bytemuck::Pod>(
        &self,
        shader: Shader,
        params: &P,
        maps: Vec<(u32, ValueId)>,
        invocations: [usize; 3],
    ) -> Result<Dispatch> {
        let label = maps.last().map(|&(_, value)| self.plan.value(value).name.clone()).unwrap_or_default();
        let bindings = maps.into_iter().map(|(binding, value)| (binding, Resource::Map(value))).collect();
        dispatch(&label, shader, params, bindings, invocations)
    }
}

/// Rows of invocations for a list of any length, and how long a row is.
pub(super) fn flat(length: usize) -> (u32, [usize; 3]) {
    /// Half of what one dimension allows for workgroups of 64.
    const ROW: usize = 1 << 21;
    let row = length.min(ROW);
    (row as u32, [row, length.div_ceil(row.max(1)), 1])
}

/// What the last shader of a convolution binds to store the result.
///
/// `input` is a map that is there: something has to be bound as the residual even if there is none.
fn stored(step: &Conv, input: ValueId) -> [(u32, Resource); 3] {
    let residual = step.residual.unwrap_or(input);
    [(3, Resource::Bias(step.kernel)), (4, Resource::Map(step.output)), (5, Resource::Map(residual))]
}

pub(super) fn dispatch<P: bytemuck::Pod>(
    label: &str,
    shader: Shader,
    params: &P,
    bindings: Vec<(u32, Resource)>,
    invocations: [usize; 3],
) -> Result<Dispatch> {
    let [x, y] = shader.workgroup().map(u64::from);
    let groups = [invocations[0] as u64, invocations[1] as u64, invocations[2] as u64];
    let groups = [groups[0].div_ceil(x), groups[1].div_ceil(y), groups[2]];
    if let Some(&needed) = groups.iter().find(|&&count| count > MAX_GROUPS) {
        return Err(Error::Limit {
            what: format!("layer `{label}`"),
            needed,
            limit: MAX_GROUPS,
            limit_name: "maxComputeWorkgroupsPerDimension",
            way_out: "use a smaller batch or input, or `cpu` as the adapter",
        });
    }
    let params = bytemuck::bytes_of(params).to_vec();
    let precision = Precision::F32;
    Ok(Dispatch { label: label.into(), shader, precision, params, bindings, grid: groups.map(|count| count as u32) })
}
