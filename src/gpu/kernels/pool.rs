//! Maximum or mean over windows.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, ShaderKey, params, slices};
use crate::plan::{Pool, PoolKind};

params! {
    /// Pooling over windows.
    PoolParams {
        maps: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32,
        kernel_height: u32, kernel_width: u32, stride_y: u32, stride_x: u32,
        pad_top: u32, pad_left: u32, pad_bottom: u32, pad_right: u32, dilation_y: u32, dilation_x: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "pool",
    template: "pool.wgsl",
    params: PoolParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || KINDS.map(key).into(),
    ..Kernel::DEFAULT
};

/// Every kind of pooling.
#[cfg(not(target_arch = "wasm32"))]
pub const KINDS: [PoolKind; 3] =
    [PoolKind::Max, PoolKind::Mean { count_include_pad: false }, PoolKind::Mean { count_include_pad: true }];

fn key(kind: PoolKind) -> ShaderKey {
    FAMILY.key([64, 1]).with("kind", kind_name(kind))
}

/// What templates call a kind of pooling.
pub fn kind_name(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Max => "max",
        PoolKind::Mean { count_include_pad: true } => "mean_padded",
        PoolKind::Mean { count_include_pad: false } => "mean_inside",
    }
}

pub fn lower(cx: &Context<'_>, pool: &Pool) -> Dispatch {
    let [n, c, out_height, out_width] = cx.shape(pool.output);
    let maps = vec![(1, pool.input), (2, pool.output)];
    cx.maps_dispatch(key(pool.kind), &params(cx, pool), maps, [out_height * out_width, n * slices(c), 1])
}

/// The uniform block, which the gradient shares.
pub fn params(cx: &Context<'_>, pool: &Pool) -> PoolParams {
    let [n, c, in_height, in_width] = cx.shape(pool.input);
    let [_, _, out_height, out_width] = cx.shape(pool.output);
    PoolParams {
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
