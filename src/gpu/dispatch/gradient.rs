//! Steps of the way back: kernels transposed and as maps, and gradients of kernels, biases, W, D and padding.

use super::kernel::composed;
use super::{Dispatch, Lowering, Place, Resource, dispatch, flat};
use crate::gpu::choose::{Split, choose_kernel_gradient};
use crate::gpu::layout::{KernelLayout, slices};
use crate::gpu::params;
use crate::gpu::shader::{GRADIENT_DEPTH, Shader};
use crate::plan::{ComposeGradient, Factor, KernelGradient, KernelId, KernelSource, PadGradient, Plan, ValueId};
use crate::{Error, Result};

impl Lowering<'_> {
    pub(super) fn kernel_map(&self, id: KernelId, output: ValueId) -> Result<Dispatch> {
        let conv = &self.plan.kernel(id).conv;
        let layout = KernelLayout::of(conv);
        let in_slices = slices(conv.channels_per_group());
        let length = conv.out_channels * in_slices * layout.taps;
        let (row, invocations) = flat(length);
        let params = params::KernelMap {
            row,
            length: length as u32,
            taps: layout.taps as u32,
            in_slices: in_slices as u32,
            group_inputs: conv.channels_per_group() as u32,
            row_inputs: layout.row_inputs as u32,
            row_outputs: layout.row_outputs as u32,
        };
        let bindings = vec![(1, Resource::Kernel(id)), (2, Resource::Map(output))];
        dispatch(&self.plan.value(output).name, Shader::KernelMap, &params, bindings, invocations)
    }

    pub(super) fn kernel_gradient(&self, step: &KernelGradient) -> Result<Vec<Dispatch>> {
        let conv = &step.conv;
        let [n, in_channels, in_height, in_width] = self.shape(step.input);
        let [_, out_channels, out_height, out_width] = self.shape(step.grad_output);
        let pixels = n * out_height * out_width;
        let shader = choose_kernel_gradient(conv, pixels, self.policy.tier);
        let (taps, out_slices) = (conv.taps(), slices(out_channels));
        let (group_in_slices, group_out_slices) = (slices(conv.channels_per_group()), slices(conv.outputs_per_group()));
        let columns = taps * group_in_slices;
        let (tiles, lanes, pixel_step) = match shader {
            Shader::KernelGradientTiled { slices, columns: wide } => {
                let rows = group_out_slices.div_ceil(8 * slices as usize) * conv.groups;
                ([columns.div_ceil(8 * wide as usize), rows], 64, GRADIENT_DEPTH as usize)
            }
            Shader::KernelGradientDirect { slices, columns: wide } => {
                ([columns.div_ceil(wide as usize) * out_slices.div_ceil(slices as usize), 1], 1, 1)
            }
            Shader::KernelGradientDepthwise { taps: wide, .. } => {
                ([taps.div_ceil(wide as usize) * out_slices, 1], 1, 1)
            }
            _ => ([columns * out_channels, 1], 1, 1),
        };
        let length = out_channels * columns;
        let split = Split::new(pixels, tiles[0] * tiles[1] * lanes, 16 * length, pixel_step, self.policy.tier);
        let params = params::KernelGradient {
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
        let invocations = match shader {
            Shader::KernelGradientTiled { .. } => [tiles[0] * 8, tiles[1] * 8, split.parts],
            _ => [tiles[0], split.parts, 1],
        };
        let label = &self.plan.value(step.output).name;
        self.in_parts(split, length, step.output, |parts| {
            let maps = [(1, step.input), (2, step.grad_output)].map(|(at, value)| (at, Resource::Map(value)));
            dispatch(label, shader, &params, maps.into_iter().chain([(3, parts)]).collect(), invocations)
        })
    }

    pub(super) fn bias_gradient(&self, grad_output: ValueId, output: ValueId) -> Result<Vec<Dispatch>> {
        let [n, c, h, w] = self.shape(grad_output);
        let (pixels, slices) = (n * h * w, slices(c));
        let split = Split::new(pixels, slices, 16 * slices, 1, self.policy.tier);
        let params = params::BiasGradient {
            pixels: pixels as u32,
            part_pixels: split.terms as u32,
            parts: split.parts as u32,
            area: (h * w) as u32,
            slices: slices as u32,
        };
        let label = &self.plan.value(output).name;
        self.in_parts(split, slices, output, |parts| {
            let bindings = vec![(1, Resource::Map(grad_output)), (2, parts)];
            dispatch(label, Shader::BiasGradient, &params, bindings, [slices, split.parts, 1])
        })
    }

    pub(super) fn compose_gradient(&self, step: &ComposeGradient) -> Result<Vec<Dispatch>> {
        let kernel = self.plan.kernel(step.kernel);
        let attributes = composed(kernel)?;
        let conv = &kernel.conv;
        let in_slices = slices(conv.channels_per_group());
        let (length, other, split) = match step.factor {
            Factor::W => {
                let length = conv.out_channels * in_slices * attributes.d_mul;
                (length, Resource::D(step.kernel), Split { parts: 1, terms: conv.taps() })
            }
            Factor::D => {
                let length = conv.in_channels * slices(conv.taps()) * attributes.d_mul;
                let split = Split::new(conv.outputs_per_group(), length, 16 * length, 1, self.policy.tier);
                (length, Resource::W(step.kernel), split)
            }
        };
        let (row, [x, y, _]) = flat(length);
        let params = params::ComposeGradient {
            row,
            length: length as u32,
            part_terms: split.terms as u32,
            inputs: conv.in_channels as u32,
            outputs: conv.out_channels as u32,
            group_inputs: conv.channels_per_group() as u32,
            group_outputs: conv.outputs_per_group() as u32,
            in_slices: in_slices as u32,
            d_mul: attributes.d_mul as u32,
            taps: conv.taps() as u32,
        };
        let shader = Shader::ComposeGradient { factor: step.factor, pairing: attributes.pairing };
        let label = &self.plan.value(step.output).name;
        self.in_parts(split, length, step.output, |parts| {
            let bindings = vec![(1, Resource::Map(step.grad_kernel)), (2, other), (3, parts)];
            dispatch(label, shader, &params, bindings, [x, y, split.parts])
        })
    }

    /// A sum in one pass where it has one part, else in two. `length` is that of the result, in `vec4`.
    pub(in crate::gpu) fn in_parts(
        &self,
        split: Split,
        length: usize,
        output: ValueId,
        first: impl FnOnce(Resource) -> Result<Dispatch>,
    ) -> Result<Vec<Dispatch>> {
        if split.parts == 1 {
            return Ok(vec![first(Resource::Map(output))?]);
        }
        let parts = Resource::Scratch(Place::First, (16 * length * split.parts) as u64);
        let (row, invocations) = flat(length);
        let params = params::SumParts { row, length: length as u32, parts: split.parts as u32 };
        let bindings = vec![(1, parts), (2, Resource::Map(output))];
        let label = &self.plan.value(output).name;
        Ok(vec![first(parts)?, dispatch(label, Shader::SumParts, &params, bindings, invocations)?])
    }

    pub(super) fn pad_gradient(&self, step: &PadGradient) -> Result<Dispatch> {
        let [_, _, in_height, in_width] = self.shape(step.grad_output);
        let [n, c, out_height, out_width] = self.shape(step.output);
        let maps = n * slices(c);
        let params = params::PadGradient {
            maps: maps as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            before_row: step.before[0] as u32,
            before_column: step.before[1] as u32,
        };
        let maps_bound = vec![(1, step.grad_output), (2, step.output)];
        let shader = Shader::PadGradient { mode: step.mode };
        self.maps_dispatch(shader, &params, maps_bound, [out_height * out_width, maps, 1])
    }
}

pub(super) fn transpose(plan: &Plan, id: KernelId) -> Result<Dispatch> {
    let kernel = plan.kernel(id);
    let KernelSource::Transposed(transposed) = &kernel.source else {
        return Err(Error::Unsupported(format!("{}: not the transposed kernel of another", kernel.name)));
    };
    let (conv, forward) = (&kernel.conv, &plan.kernel(transposed.of).conv);
    let (layout, from_layout) = (KernelLayout::of(conv), KernelLayout::of(forward));
    let (row, invocations) = flat(layout.len());
    let [[reach_y, step_y], [reach_x, step_x]] =
        transposed.sub_pixel.reach().map(|axis| axis.map(|value| value as i32));
    let params = params::TransposeKernel {
        row,
        length: layout.len() as u32,
        outputs: conv.out_channels as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: layout.row_outputs as u32,
        kernel_height: conv.kernel[0] as u32,
        kernel_width: conv.kernel[1] as u32,
        from_row_inputs: from_layout.row_inputs as u32,
        from_row_outputs: from_layout.row_outputs as u32,
        from_height: forward.kernel[0] as u32,
        from_width: forward.kernel[1] as u32,
        stride_y: forward.stride[0] as u32,
        stride_x: forward.stride[1] as u32,
        dilation_y: forward.dilation[0] as u32,
        dilation_x: forward.dilation[1] as u32,
        reach_y,
        reach_x,
        step_y,
        step_x,
    };
    let bindings = vec![(1, Resource::Kernel(transposed.of)), (2, Resource::Kernel(id))];
    dispatch(&kernel.name, Shader::TransposeKernel, &params, bindings, invocations)
}
