//! Element-wise functions of one or two maps.

use super::context::Context;
use crate::gpu::shader::{ActivationClass, Dispatch, Kernel, ShaderKey, params, slices};
use crate::network::{Activation, Shape};
use crate::plan::{Binary, BinaryOp, ValueId};

params! {
    /// Of one map, or of two of the same shape, of which the second may have one pixel.
    ElementwiseParams { maps: u32, area: u32, b_area: u32, slices: u32, channels: u32, lower: f32, upper: f32 }
}

params! {
    /// Of two maps with broadcasting. Strides are in vectors, 0 along repeated axes.
    BroadcastParams {
        maps: u32, area: u32, items: u32, slices: u32, channels: u32, width: u32,
        a_element: u32, a_item: u32, a_slice: u32, a_row: u32, a_column: u32, a_single: u32,
        b_element: u32, b_item: u32, b_slice: u32, b_row: u32, b_column: u32, b_single: u32,
        lower: f32, upper: f32,
    }
}

/// Without broadcasting, but for a second map of one pixel.
pub static FAMILY: Kernel = Kernel {
    name: "elementwise",
    template: "elementwise.wgsl",
    params: ElementwiseParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let operators = || std::iter::once(None).chain(BinaryOp::ALL.map(Some));
        ActivationClass::ALL
            .into_iter()
            .flat_map(|class| operators().map(move |operator| key(operator, class)))
            .collect()
    },
    ..Kernel::DEFAULT
};

/// With broadcasting along any axis of both maps.
pub static BROADCAST: Kernel = Kernel {
    name: "broadcast",
    template: "elementwise.wgsl",
    params: BroadcastParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let all = |class| BinaryOp::ALL.map(|operator| broadcast_key(operator, class));
        ActivationClass::ALL.into_iter().flat_map(all).collect()
    },
    ..Kernel::DEFAULT
};

fn key(operator: Option<BinaryOp>, activation: ActivationClass) -> ShaderKey {
    let operator = operator.map_or("", sign);
    FAMILY.key([64, 1]).with("operator", operator).with("broadcast", false).with("activation", activation)
}

fn broadcast_key(operator: BinaryOp, activation: ActivationClass) -> ShaderKey {
    BROADCAST.key([64, 1]).with("operator", sign(operator)).with("broadcast", true).with("activation", activation)
}

fn sign(operator: BinaryOp) -> &'static str {
    match operator {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Prelu => "prelu",
    }
}

pub fn lower_activation(cx: &Context<'_>, activation: Activation, input: ValueId, output: ValueId) -> Dispatch {
    let (class, bounds) = ActivationClass::of(Some(activation));
    same_shape(cx, key(None, class), bounds, 1, vec![(1, input)], output)
}

pub fn lower_binary(cx: &Context<'_>, binary: &Binary) -> Dispatch {
    let (class, bounds) = ActivationClass::of(binary.activation);
    let (a, b, output) = (cx.shape(binary.a), cx.shape(binary.b), cx.shape(binary.output));
    let maps = vec![(1, binary.a), (2, binary.b)];
    if a == output && (b == output || b == [output[0], output[1], 1, 1]) {
        return same_shape(cx, key(Some(binary.op), class), bounds, b[2] * b[3], maps, binary.output);
    }
    // Distances in vectors along elements of the batch, items, slices, rows and columns; none along axes that repeat.
    let strides = |[n, c, h, w]: Shape| {
        let items = n / cx.batch;
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
    let params = BroadcastParams {
        maps: count as u32,
        area: (h * w) as u32,
        items: (n / cx.batch) as u32,
        slices: slices(c) as u32,
        channels: c as u32,
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
    let maps = [maps, vec![(3, binary.output)]].concat();
    cx.maps_dispatch(broadcast_key(binary.op, class), &params, maps, [h * w, count, 1])
}

/// The parameters of an element-wise function of maps of one shape.
pub fn params(cx: &Context<'_>, [lower, upper]: [f32; 2], b_area: usize, output: ValueId) -> ElementwiseParams {
    let [n, c, h, w] = cx.shape(output);
    ElementwiseParams {
        maps: (n * slices(c)) as u32,
        area: (h * w) as u32,
        b_area: b_area as u32,
        slices: slices(c) as u32,
        channels: c as u32,
        lower,
        upper,
    }
}

fn same_shape(
    cx: &Context<'_>,
    shader: ShaderKey,
    bounds: [f32; 2],
    b_area: usize,
    mut maps: Vec<(u32, ValueId)>,
    output: ValueId,
) -> Dispatch {
    let params = params(cx, bounds, b_area, output);
    maps.push((3, output));
    cx.maps_dispatch(shader, &params, maps, [params.area as usize, params.maps as usize, 1])
}
