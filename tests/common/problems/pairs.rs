//! Every operator before every other, with channel counts that are no multiple of four: what one kernel leaves in the unused
//! lanes of a map is what the next one reads.

use doconv::network::{
    Activation, AvgPool, Conv2d, ConvTranspose2d, Coordinates, DoConv, Interpolation, Linear, Lrn, MaxPool, Op, Pad,
    PaddingMode, Pairing, Resize, Slice,
};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;

/// Operators that [`append`] knows.
const OPERATORS: usize = 32;

/// Adds one of the operators behind a value and gives the result.
///
/// Second operands are constants, which are away from zero, or the value itself.
fn append(graph: &mut Graph, operator: usize, value: &str) -> String {
    let shape @ [items, c, h, w] = graph.shape(value);
    let conv = |outputs, kernel: usize| Conv2d {
        padding: [kernel / 2; 4],
        bias: true,
        ..Conv2d::new(c, outputs, [kernel; 2])
    };
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let with_constant = |graph: &mut Graph, op: Op, shape: [usize; 4], first: bool| {
        let constant = graph.add(Op::Constant(shape), &[]);
        graph.add(op, &if first { [&constant, value] } else { [value, &constant] })
    };
    match operator {
        0 => graph.add(Op::Conv2d(conv(c + 2, 1)), &[value]),
        1 => graph.add(Op::Conv2d(conv(c, 3)), &[value]),
        2 => graph.add(Op::Conv2d(Conv2d { doconv, ..conv(c + 1, 3) }), &[value]),
        3 => graph.add(Op::Conv2d(Conv2d { groups: c, ..conv(c, 3) }), &[value]),
        4 => graph.add(Op::Conv2d(Conv2d { groups: c, ..conv(2 * c, 3) }), &[value]),
        // Whole slices on both sides, where Winograd convolution can run.
        5 => {
            let wide = graph.add(Op::Conv2d(conv(16, 1)), &[value]);
            graph.add(Op::Conv2d(Conv2d { padding: [1; 4], ..Conv2d::new(16, 20, [3, 3]) }), &[&wide])
        }
        6 => {
            let transposed = ConvTranspose2d {
                in_channels: c,
                out_channels: c + 1,
                kernel: [3, 3],
                stride: [2, 2],
                padding: [1; 4],
                output_padding: [0; 2],
                dilation: [1, 1],
                groups: 1,
                bias: true,
            };
            graph.add(Op::ConvTranspose2d(transposed), &[value])
        }
        7 => {
            let linear = Linear { in_features: c * h * w, out_features: 5, bias: true };
            let flat = graph.add(Op::Flatten, &[value]);
            graph.add(Op::Linear(linear), &[&flat])
        }
        8 => graph.batch_norm(value),
        9 => graph.add(Op::Activation(Activation::Sigmoid), &[value]),
        10 => graph.add(Op::Activation(Activation::Ramp { slope: 0.3, offset: 0.7 }), &[value]),
        11 => graph.add(Op::Activation(Activation::Clip { min: Some(0.25), max: Some(1.5) }), &[value]),
        12 => graph.add(Op::Activation(Activation::Tanh), &[value]),
        13 => {
            let (kernel, stride) = ([2, 2], [1, 1]);
            let pool = MaxPool { kernel, stride, padding: [1; 4], dilation: [1, 1], ceil_mode: false };
            graph.add(Op::MaxPool(pool), &[value])
        }
        14 => {
            let (kernel, stride, count_include_pad) = ([2, 2], [1, 1], false);
            let pool =
                AvgPool { kernel, stride, padding: [1; 4], dilation: [1, 1], ceil_mode: false, count_include_pad };
            graph.add(Op::AvgPool(pool), &[value])
        }
        15 => graph.add(Op::GlobalAvgPool, &[value]),
        16 => graph.add(Op::GlobalMaxPool, &[value]),
        17 => with_constant(graph, Op::Add, [1, c, 1, 1], false),
        // One channel is repeated over all, the unused lanes included.
        18 => with_constant(graph, Op::Sub, [1, 1, 1, 1], true),
        19 => with_constant(graph, Op::Mul, shape, false),
        20 => with_constant(graph, Op::Div, shape, false),
        21 => with_constant(graph, Op::Div, [1, c, 1, 1], false),
        22 => with_constant(graph, Op::Prelu, [1, c, 1, 1], false),
        23 => graph.add(Op::Concat, &[value, value]),
        24 => graph.add(Op::Transpose([0, 2, 1, 3]), &[value]),
        25 => graph.add(Op::Reshape([items, w, c, h]), &[value]),
        26 => {
            let slice = Slice { start: [0, c - 1, 0, 0], step: [1, -1, 1, 1], count: [items, c.div_ceil(2), h, w] };
            graph.add(Op::Slice(slice), &[value])
        }
        27 => {
            let pad = Pad { before: [0, 1, 1, 0], after: [0, 2, 0, 1], mode: PaddingMode::Zeros, value: 3.0 };
            graph.add(Op::Pad(pad), &[value])
        }
        28 => {
            let (interpolation, coordinates) = (Interpolation::Linear, Coordinates::HalfPixel);
            graph.add(Op::Resize(Resize { size: [h + 1, w + 2], scale: None, interpolation, coordinates }), &[value])
        }
        29 => graph.add(Op::Lrn(Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0 }), &[value]),
        _ => graph.add(if operator.is_multiple_of(2) { Op::Softmax } else { Op::LogSoftmax }, &[value]),
    }
}

/// An operator before several others, all results of which are outputs.
pub fn before_others(first: usize, others: impl Iterator<Item = usize>, channels: usize, seed: u64) -> Problem {
    let mut graph = Graph::new([channels, 3, 4]);
    let before = append(&mut graph, first, "input");
    let mut outputs = vec![before.clone()];
    for second in others {
        let value = append(&mut graph, second, &before);
        // A convolution last: every lane of what it reads counts.
        let [_, c, ..] = graph.shape(&value);
        outputs.extend([graph.add(Op::Conv2d(Conv2d::new(c, 3, [1, 1])), &[&value]), value]);
    }
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let batch = 1 + seed as usize % 2;
    Problem { composed: seed.is_multiple_of(3), ..Problem::new(graph.finish(&outputs), seed, batch) }
}

/// Every operator before all others, one network each.
pub fn all() -> impl Iterator<Item = Problem> {
    (0..OPERATORS).map(|first| before_others(first, 0..OPERATORS, 5 + first % 3, first as u64))
}

/// Any pair.
pub fn random() -> BoxedStrategy<Problem> {
    let channels = proptest::sample::select(vec![1usize, 2, 3, 5, 6, 7, 9]);
    ([0..OPERATORS, 0..OPERATORS], channels, any::<u64>())
        .prop_map(|([first, second], channels, seed)| before_others(first, second..second + 1, channels, seed))
        .boxed()
}
