//! A convolution in three dispatches: inputs transformed, products, products transformed back. And before any of them, once, its
//! kernel.

use super::{Dispatch, Lowering, Place, Resource, dispatch, flat, stored};
use crate::Result;
use crate::gpu::choose::{choose_products, input_channels};
use crate::gpu::layout::{KernelLayout, slices};
use crate::gpu::params;
use crate::gpu::shader::{ActivationClass, Shader, TILE_COLUMNS, TILE_PIXELS};
use crate::gpu::winograd::Winograd;
use crate::plan::{Conv, Kernel, KernelId};

/// Transforms a plain kernel; of a composed one D is.
pub(super) fn kernel(kernel: &Kernel, id: KernelId, size: Winograd) -> Result<Dispatch> {
    let layout = KernelLayout::of(&kernel.conv);
    let length = layout.row_inputs * layout.row_outputs / 4;
    let (row, invocations) = flat(length);
    let params = params::WinogradKernel { row, length: length as u32 };
    let bindings = vec![(1, Resource::Taps(id)), (2, Resource::Kernel(id))];
    dispatch(&format!("{} transformed", kernel.name), Shader::WinogradKernel { size }, &params, bindings, invocations)
}

impl Lowering<'_> {
    pub(super) fn winograd(&self, step: &Conv, size: Winograd) -> Result<Vec<Dispatch>> {
        let [n, in_channels, in_height, in_width] = self.shape(step.input);
        let [_, out_channels, out_height, out_width] = self.shape(step.output);
        let [rows, row_tiles] = size.tiles([out_height, out_width]);
        let tiles = n * rows * row_tiles;
        let (in_slices, out_slices) = (slices(in_channels), slices(out_channels));
        let (activation, [lower, upper]) = ActivationClass::of(step.activation);
        let params = params::Winograd {
            tiles: tiles as u32,
            image_tiles: (rows * row_tiles) as u32,
            row_tiles: row_tiles as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            in_slices: in_slices as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            out_slices: out_slices as u32,
            pad_top: step.conv.padding[0] as u32,
            pad_left: step.conv.padding[1] as u32,
            residual: step.residual.is_some().into(),
            lower,
            upper,
        };
        let bytes = |slices: usize| (16 * size.places() * slices * tiles) as u64;
        let transformed = Resource::Scratch(Place::First, bytes(in_slices));
        let products = Resource::Scratch(Place::Second, bytes(out_slices));
        let label = |part: &str| format!("{} {part}", step.name);
        let compact = self.policy.is_compact();
        let channels = input_channels(self.policy);
        let first = dispatch(
            &label("inputs"),
            Shader::WinogradInput { size, channels, compact },
            &params,
            vec![(1, Resource::Map(step.input)), (2, transformed)],
            [tiles * 4 / channels as usize, in_slices, 1],
        )?;
        let bindings = [&[(1, products)], &stored(step, step.input)[..]].concat();
        let last = dispatch(
            &step.name,
            Shader::WinogradOutput { size, compact, activation },
            &params,
            bindings,
            [tiles, out_slices, 1],
        )?;
        let bindings = vec![(1, transformed), (2, Resource::Kernel(step.kernel)), (4, products)];
        let shader = choose_products(step, size, [n, out_channels, out_height, out_width], self.policy);
        let products = self.products(&label("products"), shader, size, tiles, [in_slices, out_slices], bindings)?;
        Ok(vec![first, products, last])
    }

    /// A matrix product for every place of the tiles: a 1×1 convolution of one row of tiles, with a group for every place.
    fn products(
        &self,
        label: &str,
        shader: Shader,
        size: Winograd,
        tiles: usize,
        [in_slices, out_slices]: [usize; 2],
        bindings: Vec<(u32, Resource)>,
    ) -> Result<Dispatch> {
        let places = size.places();
        let params = params::Conv {
            pixels: tiles as u32,
            maps: (places * out_slices) as u32,
            in_height: 1,
            in_width: tiles as u32,
            in_slices: (places * in_slices) as u32,
            out_height: 1,
            out_width: tiles as u32,
            out_slices: (places * out_slices) as u32,
            groups: places as u32,
            group_in_slices: in_slices as u32,
            group_out_slices: out_slices as u32,
            group_inputs: 4 * in_slices as u32,
            group_outputs: 4 * out_slices as u32,
            kernel_height: 1,
            kernel_width: 1,
            stride_y: 1,
            stride_x: 1,
            dilation_y: 1,
            dilation_x: 1,
            ..params::Conv::default()
        };
        let invocations = match shader {
            Shader::WinogradProduct { pixels, slices, .. } => {
                [tiles.div_ceil(pixels as usize), places * out_slices / slices as usize, 1]
            }
            Shader::WinogradProductTiled { slices } => {
                let columns = (TILE_COLUMNS * slices) as usize;
                [tiles.div_ceil(TILE_PIXELS as usize) * 8, out_slices.div_ceil(columns) * 8, places]
            }
            _ => [tiles, places * out_slices, 1],
        };
        dispatch(label, shader, &params, bindings, invocations)
    }
}
