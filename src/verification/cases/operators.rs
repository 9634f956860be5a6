//! Every operator but convolutions, with all that it is specialised by.

use super::conv::activation_name;
use crate::network::{
    Activation, AvgPool, BatchNorm, ConvTranspose2d, Coordinates, Interpolation, Linear, Lrn, MaxPool, Network, Op,
    Pad, PaddingMode, Resize, Rounding, Shape, Slice,
};
use crate::verification::graph::{Graph, single};

/// An operator by itself, or with what is fused behind it.
pub struct Operator {
    pub what: String,
    pub network: Network,
    /// Inputs are within ± this.
    pub range: f64,
    /// Whether it joins two things that are checked by themselves, too: what is so in one precision.
    pub is_combination: bool,
}

/// All of them.
pub fn all() -> Vec<Operator> {
    let lists = [activations(), binary(), pools(), channels(), layout(), resize(), concat(), dense(), transposed()];
    lists.into_iter().flatten().collect()
}

fn of(what: impl Into<String>, network: Network, range: f64) -> Operator {
    Operator { what: what.into(), network, range, is_combination: false }
}

fn activations() -> Vec<Operator> {
    let near_and_far = [(8.0, ""), (500.0, ", far out")];
    let all = Activation::ALL.into_iter().flat_map(|activation| near_and_far.map(|range| (activation, range)));
    all.map(|(activation, (range, far))| {
        let network = single([1, 7, 5, 6], Op::Activation(activation));
        of(format!("{}{far}", activation_name(activation)), network, range)
    })
    .collect()
}

/// Functions of two maps, with every class of activation behind them: of one shape, with a map of one pixel, repeated along
/// all axes.
fn binary() -> Vec<Operator> {
    const SHAPES: [(&str, Shape, Shape); 5] = [
        ("", [1, 6, 4, 5], [1, 6, 4, 5]),
        (" of one pixel", [1, 9, 4, 5], [1, 9, 1, 1]),
        (", first of one pixel", [1, 9, 1, 1], [1, 9, 4, 5]),
        (" repeated", [2, 1, 4, 1], [1, 6, 1, 5]),
        (" of one channel", [1, 10, 3, 4], [1, 1, 3, 4]),
    ];
    let activations = std::iter::once(None).chain(Activation::ALL.map(Some));
    let mut operators = vec![];
    for (op, name) in [(Op::Add, "add"), (Op::Sub, "sub"), (Op::Mul, "mul"), (Op::Div, "div"), (Op::Prelu, "prelu")] {
        for activation in activations.clone() {
            // Of the activations, behind an operator with and one without broadcasting.
            let shapes = if activation.is_none() { &SHAPES[..] } else { &SHAPES[..4] };
            for (index, &(shapes, a, b)) in shapes.iter().enumerate() {
                if activation.is_some() && index % 3 != 0 {
                    continue;
                }
                let mut graph = Graph::of_items(a);
                // Constants are far from zero.
                let other = match op == Op::Div || index == 1 {
                    true => graph.add(Op::Constant(b), &[]),
                    false => graph.input("other", b),
                };
                let value = graph.add(op.clone(), &["input", &other]);
                let mut what = format!("{name}{shapes}");
                if let Some(activation) = activation {
                    graph.add(Op::Activation(activation), &[&value]);
                    what += &format!(", {}", activation_name(activation));
                }
                let is_combination = activation.is_some() && op != Op::Add;
                operators.push(Operator { is_combination, ..of(what, graph.finish(), 2.0) });
            }
        }
    }
    operators
}

fn pools() -> Vec<Operator> {
    let mut operators = vec![];
    let geometries = [
        ("2x2", [[2, 2], [2, 2], [1, 1]], [0; 4], false),
        ("3x3 padded", [[3, 3], [2, 2], [1, 1]], [1; 4], false),
        ("3x2 uneven, rounded up", [[3, 2], [2, 3], [1, 1]], [1, 0, 2, 1], true),
        ("3x3 dilation 2", [[3, 3], [1, 1], [2, 2]], [2; 4], false),
    ];
    for (what, [kernel, stride, dilation], padding, ceil_mode) in geometries {
        let max = MaxPool { kernel, stride, padding, dilation, ceil_mode };
        operators.push(of(format!("max pool {what}"), single([1, 6, 9, 8], Op::MaxPool(max)), 2.0));
        for count_include_pad in [false, true] {
            let mean = AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad };
            let counted = if count_include_pad { ", padding counts" } else { "" };
            operators.push(of(format!("mean pool {what}{counted}"), single([1, 5, 9, 8], Op::AvgPool(mean)), 2.0));
        }
    }
    for (op, name) in [(Op::GlobalMaxPool, "max"), (Op::GlobalAvgPool, "mean")] {
        for shape in [[1, 10, 7, 7], [1, 3, 1, 1], [1, 4, 40, 33]] {
            operators.push(of(
                format!("global {name} pool of {}x{}", shape[2], shape[3]),
                single(shape, op.clone()),
                2.0,
            ));
        }
    }
    operators
}

/// What mixes channels.
fn channels() -> Vec<Operator> {
    let mut operators = vec![];
    for (op, name) in [(Op::Softmax, "softmax"), (Op::LogSoftmax, "log softmax")] {
        for (channels, [height, width], range) in
            [(5, [3, 4], 3.0), (1, [2, 2], 3.0), (1000, [1, 1], 8.0), (37, [2, 3], 2000.0)]
        {
            let network = single([1, channels, height, width], op.clone());
            operators.push(of(format!("{name} of {channels} classes within ±{range}"), network, range));
        }
    }
    for (size, alpha, beta, k) in [(1, 0.5, 0.75, 1.0), (5, 1.0, 0.75, 2.0), (4, 1.5, 0.4, 0.5), (9, 0.1, 1.2, 1.0)] {
        let lrn = Lrn { size, alpha, beta, k };
        operators.push(of(format!("LRN over {size} channels"), single([1, 10, 3, 4], Op::Lrn(lrn)), 4.0));
    }
    let norm = single([1, 7, 4, 5], Op::BatchNorm(BatchNorm { channels: 7, eps: 1e-3 }));
    operators.push(of("batch norm by itself", norm, 2.0));
    operators
}

fn layout() -> Vec<Operator> {
    let shape = [2, 6, 4, 5];
    let mut operators = vec![
        of("transpose", single(shape, Op::Transpose([0, 2, 3, 1])), 2.0),
        of("transpose of items", single(shape, Op::Transpose([1, 0, 3, 2])), 2.0),
        of("reshape", single(shape, Op::Reshape([1, 8, 3, 10])), 2.0),
        of("flatten", single([1, 6, 4, 5], Op::Flatten), 2.0),
    ];
    let slice = Slice { start: [1, 4, 0, 1], step: [-1, -2, 1, 2], count: [2, 2, 3, 2] };
    operators.push(of("slice, backwards", single(shape, Op::Slice(slice)), 2.0));
    for mode in PaddingMode::ALL {
        let value = if mode == PaddingMode::Zeros { 1.5 } else { 0.0 };
        for (what, before, after) in [("", [0, 0, 2, 1], [0, 0, 1, 3]), (" along all axes", [1, 2, 2, 1], [1, 3, 1, 3])]
        {
            let pad = Pad { before, after, mode, value };
            operators.push(of(
                format!("pad {}{what}", format!("{mode:?}").to_lowercase()),
                single(shape, Op::Pad(pad)),
                2.0,
            ));
        }
    }
    let mut graph = Graph::new([3, 4, 5]);
    let constant = graph.add(Op::Constant([1, 5, 4, 5]), &[]);
    graph.add(Op::Concat, &["input", &constant]);
    operators.push(of("constant beside a map", graph.finish(), 2.0));
    operators
}

fn resize() -> Vec<Operator> {
    let interpolations = [
        Interpolation::Nearest(Rounding::HalfDown),
        Interpolation::Nearest(Rounding::Ceil),
        Interpolation::Linear,
        Interpolation::Cubic(-0.75),
    ];
    let coordinates = [
        Coordinates::HalfPixel,
        Coordinates::HalfPixelSymmetric,
        Coordinates::PytorchHalfPixel,
        Coordinates::AlignCorners,
        Coordinates::Asymmetric,
    ];
    let mut operators = vec![];
    for interpolation in interpolations {
        for (index, coordinates) in coordinates.into_iter().enumerate() {
            let size = [[11, 3], [9, 14], [2, 5]][index % 3];
            let resize = Resize { size, scale: None, interpolation, coordinates };
            let name = format!("resize {interpolation:?}, {coordinates:?}, to {}x{}", size[0], size[1]);
            operators.push(of(name.to_lowercase(), single([1, 5, 6, 7], Op::Resize(resize)), 2.0));
        }
    }
    operators
}

fn concat() -> Vec<Operator> {
    let of_channels = |channels: &[usize]| {
        let mut graph = Graph::new([channels[0], 3, 4]);
        let mut names = vec!["input".to_owned()];
        for (index, &channels) in channels.iter().enumerate().skip(1) {
            names.push(graph.input(&format!("input{index}"), [1, channels, 3, 4]));
        }
        graph.add(Op::Concat, &names.iter().map(String::as_str).collect::<Vec<_>>());
        of(format!("concat of {channels:?} channels"), graph.finish(), 2.0)
    };
    [&[4, 8][..], &[3, 5, 2], &[1, 1, 1, 1, 1], &[8, 3, 4]].map(of_channels).into()
}

/// Fully connected layers.
fn dense() -> Vec<Operator> {
    let mut operators = vec![];
    for ([channels, height, width], out_features) in [([20, 1, 1], 10), ([5, 3, 4], 7), ([512, 1, 1], 100)] {
        let linear = Linear { in_features: channels * height * width, out_features, bias: true };
        let network = single([1, channels, height, width], Op::Linear(linear));
        operators.push(of(format!("linear of {channels}x{height}x{width}"), network, 2.0));
    }
    operators
}

fn transposed() -> Vec<Operator> {
    let conv = |kernel, stride, padding, groups| ConvTranspose2d {
        in_channels: 8,
        out_channels: 12,
        kernel,
        stride,
        padding,
        output_padding: [0, 0],
        dilation: [1, 1],
        groups,
        bias: true,
    };
    let all = [
        ("2x2 stride 2", conv([2, 2], [2, 2], [0; 4], 1)),
        ("3x3", conv([3, 3], [1, 1], [1; 4], 1)),
        ("4x4 stride 2 in 4 groups", conv([4, 4], [2, 2], [1; 4], 4)),
        ("3x2 stride 3x2", conv([3, 2], [3, 2], [1, 0, 0, 1], 2)),
    ];
    all.map(|(what, conv)| {
        of(format!("transposed convolution {what}"), single([1, 8, 5, 4], Op::ConvTranspose2d(conv)), 2.0)
    })
    .into()
}
