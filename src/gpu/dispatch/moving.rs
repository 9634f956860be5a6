//! Steps that move values about: constants, views, padding, concatenation.

use super::{Dispatch, Lowering, Resource, dispatch};
use crate::Result;
use crate::gpu::layout::{map_len, slices};
use crate::gpu::params;
use crate::gpu::shader::Shader;
use crate::plan::{ConstantId, Pad, ValueId, View};

impl Lowering<'_> {
    pub(super) fn constant(&self, constant: ConstantId, output: ValueId) -> Result<Dispatch> {
        let vectors = map_len(self.plan.constant(constant).shape) / 4;
        // More than the batch where the plan is for a fixed one.
        let copies = map_len(self.shape(output)) / 4 / vectors;
        let params = params::Constant { vectors: vectors as u32 };
        let bindings = vec![(1, Resource::Constant(constant)), (2, Resource::Map(output))];
        let label = &self.plan.value(output).name;
        dispatch(label, Shader::Constant, &params, bindings, [vectors, copies, 1])
    }

    pub(super) fn rearrange(&self, view: &View, input: ValueId, output: ValueId) -> Result<Dispatch> {
        let [in_n, in_c, in_h, in_w] = self.shape(input);
        let [n, c, h, w] = self.shape(output);
        let maps = n * slices(c);
        let [item, channel, row, column] = view.axes;
        let params = params::Rearrange {
            maps: maps as u32,
            area: (h * w) as u32,
            items: (n / self.batch) as u32,
            slices: slices(c) as u32,
            channels: c as u32,
            width: w as u32,
            in_items: (in_n / self.batch) as u32,
            in_channels: in_c as u32,
            in_slices: slices(in_c) as u32,
            in_area: (in_h * in_w) as u32,
            offset: view.offset as u32,
            item_inner: item.inner as u32,
            item_outer_stride: item.outer_stride as i32,
            item_inner_stride: item.inner_stride as i32,
            channel_inner: channel.inner as u32,
            channel_outer_stride: channel.outer_stride as i32,
            channel_inner_stride: channel.inner_stride as i32,
            row_inner: row.inner as u32,
            row_outer_stride: row.outer_stride as i32,
            row_inner_stride: row.inner_stride as i32,
            column_inner: column.inner as u32,
            column_outer_stride: column.outer_stride as i32,
            column_inner_stride: column.inner_stride as i32,
        };
        self.maps_dispatch(Shader::Rearrange, &params, vec![(1, input), (2, output)], [h * w, maps, 1])
    }

    pub(super) fn pad(&self, pad: &Pad) -> Result<Dispatch> {
        let [in_n, in_c, in_h, in_w] = self.shape(pad.input);
        let [n, c, h, w] = self.shape(pad.output);
        let maps = n * slices(c);
        let [before_item, before_channel, before_row, before_column] = pad.before.map(|count| count as u32);
        let params = params::Pad {
            maps: maps as u32,
            area: (h * w) as u32,
            items: (n / self.batch) as u32,
            slices: slices(c) as u32,
            channels: c as u32,
            width: w as u32,
            in_items: (in_n / self.batch) as u32,
            in_channels: in_c as u32,
            in_height: in_h as u32,
            in_width: in_w as u32,
            before_item,
            before_channel,
            before_row,
            before_column,
            value: pad.value,
        };
        let shader = Shader::Pad { mode: pad.mode };
        self.maps_dispatch(shader, &params, vec![(1, pad.input), (2, pad.output)], [h * w, maps, 1])
    }

    pub(super) fn concat(&self, inputs: &[ValueId], output: ValueId) -> Result<Vec<Dispatch>> {
        let [n, out_channels, h, w] = self.shape(output);
        let mut first_channel = 0;
        let mut dispatches = vec![];
        for &input in inputs {
            let channels = self.shape(input)[1];
            let params = params::CopyChannels {
                area: (h * w) as u32,
                in_slices: slices(channels) as u32,
                out_slices: slices(out_channels) as u32,
                out_channels: out_channels as u32,
                first_channel: first_channel as u32,
                channels: channels as u32,
            };
            let touched = slices(first_channel + channels) - first_channel / 4;
            let bindings = vec![(1, input), (2, output)];
            dispatches.push(self.maps_dispatch(Shader::CopyChannels, &params, bindings, [h * w, touched, n])?);
            first_channel += channels;
        }
        Ok(dispatches)
    }
}
