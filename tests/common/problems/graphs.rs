//! Small networks: the blocks that real ones are made of, and anything else that is a graph.

use doconv::network::{Activation, AvgPool, Conv2d, DoConv, Linear, MaxPool, Network, Op, PaddingMode, Pairing};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{any_activation, with_numbers};

/// A 3×3 convolution that keeps the size, marked as DO-Conv.
fn same_conv(inputs: usize, outputs: usize) -> Conv2d {
    Conv2d {
        padding: [1; 4],
        bias: true,
        doconv: Some(DoConv { d_mul: 9, pairing: Pairing::Paper }),
        ..Conv2d::new(inputs, outputs, [3, 3])
    }
}

/// Residual and squeeze-and-excitation blocks, and the corner cases of fusion.
pub fn blocks() -> BoxedStrategy<Problem> {
    let networks = (0usize..7, 1usize..=9, 1usize..=8, any_activation(), any::<bool>())
        .prop_map(|(kind, channels, size, activation, swap)| block(kind, channels, size, activation, swap));
    (with_numbers(networks), any::<bool>()).prop_map(|(problem, composed)| Problem { composed, ..problem }).boxed()
}

fn block(kind: usize, channels: usize, size: usize, activation: Activation, swap: bool) -> Network {
    let mut graph = Graph::new([channels, size, size]);
    let conv = |graph: &mut Graph, input: &str| graph.add(Op::Conv2d(same_conv(channels, channels)), &[input]);
    let activate = |graph: &mut Graph, input: &str| graph.add(Op::Activation(activation), &[input]);
    let sum = |graph: &mut Graph, a: &str, b: &str| graph.add(Op::Add, &if swap { [b, a] } else { [a, b] });
    match kind {
        // A residual block with batch norms and the activation after the sum.
        0 => {
            let first = conv(&mut graph, "input");
            let first = graph.batch_norm(&first);
            let first = activate(&mut graph, &first);
            let second = conv(&mut graph, &first);
            let second = graph.batch_norm(&second);
            let total = sum(&mut graph, &second, "input");
            let total = activate(&mut graph, &total);
            graph.finish(&[&total])
        }
        // Two convolutions of one value, summed: the later one takes the earlier one as its residual.
        1 => {
            let first = conv(&mut graph, "input");
            let second = conv(&mut graph, "input");
            let total = sum(&mut graph, &first, &second);
            let total = activate(&mut graph, &total);
            graph.finish(&[&total])
        }
        // Squeeze and excitation.
        2 => {
            let value = conv(&mut graph, "input");
            let value = activate(&mut graph, &value);
            let squeezed = graph.add(Op::GlobalAvgPool, &[&value]);
            let linear = Linear { in_features: channels, out_features: channels, bias: true };
            let gate = graph.add(Op::Linear(linear), &[&squeezed]);
            let gate = graph.add(Op::Activation(Activation::HardSigmoid), &[&gate]);
            let value = graph.add(Op::Mul, &if swap { [&gate, &value] } else { [&value, &gate] }.map(String::as_str));
            graph.finish(&[&value])
        }
        // A convolution whose bare value is wanted too.
        3 => {
            let first = conv(&mut graph, "input");
            let second = activate(&mut graph, &first);
            let total = sum(&mut graph, &first, &second);
            graph.finish(&[&total, &first, &second])
        }
        // A convolution that has its activation already, in a sum; and a value added to itself.
        4 => {
            let first = conv(&mut graph, "input");
            let first = activate(&mut graph, &first);
            let total = sum(&mut graph, &first, "input");
            let twice = graph.add(Op::Add, &[&total, &total]);
            graph.finish(&[&twice])
        }
        // Views: a flattened vector, read under both names.
        5 => {
            let value = conv(&mut graph, "input");
            let value = graph.add(Op::GlobalMaxPool, &[&value]);
            let linear = Linear { in_features: channels, out_features: channels, bias: false };
            let value = graph.add(Op::Linear(linear), &[&value]);
            let flat = graph.add(Op::Flatten, &[&value]);
            let active = activate(&mut graph, &flat);
            let total = sum(&mut graph, &active, &value);
            graph.finish(&[&total])
        }
        // A classifier's tail on a map of more than one pixel, its logits and its input as outputs too.
        _ => {
            let value = conv(&mut graph, "input");
            let flat = graph.add(Op::Flatten, &[&value]);
            let in_features = channels * size * size;
            let logits = graph.add(Op::Linear(Linear { in_features, out_features: 5, bias: true }), &[&flat]);
            let probabilities = graph.add(Op::Softmax, &[&logits]);
            graph.finish(&[&probabilities, &logits, "input"])
        }
    }
}

/// One more node: its kind, which values it reads, and anything else that it has to choose.
type Choice = (u8, u8, u8, u16);

/// Any graph at all: every node reads values picked from all those before it.
pub fn random() -> BoxedStrategy<Problem> {
    let choices = proptest::collection::vec(any::<Choice>(), 1..=10);
    let networks = (1usize..=7, [1usize..=9, 1usize..=9], choices, any::<[u8; 2]>()).prop_map(
        |(channels, [height, width], choices, extra)| {
            let mut graph = Graph::new([channels, height, width]);
            let mut products = 0;
            for choice in choices {
                grow(&mut graph, choice, &mut products);
            }
            let names = graph.names();
            let last = names.last().expect("there is an input");
            let pick = |byte: u8| names[usize::from(byte) % names.len()].as_str();
            // Half of all networks have a second output, which may be any value, the first one included.
            if extra[0] % 2 == 0 { graph.finish(&[last, pick(extra[1])]) } else { graph.finish(&[last]) }
        },
    );
    (with_numbers(networks), any::<bool>()).prop_map(|(problem, composed)| Problem { composed, ..problem }).boxed()
}

/// Several maps per element of the batch, all the way from the inputs, or made of channels on the way.
pub fn items() -> BoxedStrategy<Problem> {
    let given = (prop_oneof![blocks(), random()], 2usize..=3).prop_filter_map("operators that count items", |given| {
        let (mut problem, items) = given;
        problem.network.inputs.iter_mut().for_each(|input| input.items = items);
        problem.network.infer(1).ok()?;
        Some(problem)
    });
    let shape = [1usize..=5, 1usize..=5, 3usize..=8, 3usize..=8];
    let made = (shape, 1usize..=6, any_activation(), any::<[bool; 4]>()).prop_map(
        |([items, channels, height, width], outputs, activation, [reshapes, mirrors, adds, composed])| {
            let mut graph = Graph::of_items([channels, items, height, width]);
            let moved = if reshapes {
                graph.add(Op::Reshape([items, channels, height, width]), &["input"])
            } else {
                graph.add(Op::Transpose([1, 0, 2, 3]), &["input"])
            };
            let padding_mode = if mirrors { PaddingMode::Reflect } else { PaddingMode::Zeros };
            let outputs = if adds { channels } else { outputs };
            let mut value = graph.add(Op::Conv2d(Conv2d { padding_mode, ..same_conv(channels, outputs) }), &[&moved]);
            if adds {
                value = graph.add(Op::Add, &[&value, &moved]);
            }
            value = graph.add(Op::Activation(activation), &[&value]);
            (graph.finish(&[&value]), composed)
        },
    );
    let made = (made, any::<u64>(), 1usize..=3);
    let made =
        made.prop_map(|((network, composed), seed, batch)| Problem { composed, ..Problem::new(network, seed, batch) });
    prop_oneof![given, made].boxed()
}

fn grow(graph: &mut Graph, (kind, a, b, detail): Choice, products: &mut usize) {
    let names = graph.names();
    // Recent values are read most, so that graphs become deep.
    let pick = |byte: u8| {
        let back = usize::from(byte) * usize::from(byte) / 256 * names.len() / 256;
        names[names.len() - 1 - back].clone()
    };
    let (a, detail) = (pick(a), usize::from(detail));
    let [_, channels, height, width] = graph.shape(&a);
    // The partner of a binary operator: any value that fits, or the value itself.
    let partner = |fits: &dyn Fn([usize; 4]) -> bool| {
        let fitting: Vec<&String> = names.iter().filter(|name| fits(graph.shape(name))).collect();
        fitting[usize::from(b) % fitting.len()].clone()
    };
    let combinable = |[_, c, h, w]: [usize; 4]| {
        c == channels && ([h, w] == [height, width] || [h, w] == [1, 1] || [height, width] == [1, 1])
    };
    let same_size = |[_, _, h, w]: [usize; 4]| [h, w] == [height, width];
    match kind % 16 {
        0..=3 => {
            // As many channels as before is what residual sums need.
            let outputs = if detail % 3 == 0 { detail / 3 % 9 + 1 } else { channels };
            let mut conv = same_conv(channels, outputs);
            match detail / 32 % 4 {
                0 => conv = Conv2d { bias: detail % 2 == 0, ..Conv2d::new(channels, outputs, [1, 1]) },
                1 => conv.doconv = None,
                2 => {
                    conv = Conv2d { groups: channels, out_channels: channels, ..conv };
                }
                _ => conv.doconv = Some(DoConv { d_mul: 9 + detail % 4, pairing: Pairing::Torch }),
            }
            graph.add(Op::Conv2d(conv), &[&a]);
        }
        4 | 5 => {
            let all = Activation::ALL;
            graph.add(Op::Activation(all[detail % all.len()]), &[&a]);
        }
        6..=8 => {
            let b = partner(&combinable);
            graph.add(Op::Add, &[&a, &b]);
        }
        // Powers of powers would leave the range of f32.
        9 if *products < 2 => {
            *products += 1;
            let b = partner(&combinable);
            graph.add(Op::Mul, &[&b, &a]);
        }
        10 if channels < 24 => {
            let b = partner(&same_size);
            graph.add(Op::Concat, &[&a, &b]);
        }
        11 => {
            graph.batch_norm(&a);
        }
        12 => {
            let (kernel, stride, ceil_mode) = ([2, 2], [1 + detail % 2; 2], detail / 2 % 2 == 0);
            let op = if detail / 4 % 2 == 0 {
                Op::MaxPool(MaxPool { kernel, stride, padding: [0; 4], dilation: [1, 1], ceil_mode })
            } else {
                Op::AvgPool(AvgPool {
                    kernel,
                    stride,
                    padding: [1; 4],
                    dilation: [1, 1],
                    ceil_mode,
                    count_include_pad: detail % 3 == 0,
                })
            };
            // A window may not fit a map of one pixel; then there is one node less.
            let _ = graph.try_add(op, &[&a]);
        }
        13 => {
            graph.add(if detail % 2 == 0 { Op::GlobalAvgPool } else { Op::GlobalMaxPool }, &[&a]);
        }
        14 if channels * height * width <= 200 => {
            let flat = graph.add(Op::Flatten, &[&a]);
            if detail % 3 != 0 {
                let in_features = channels * height * width;
                let linear = Linear { in_features, out_features: detail % 7 + 1, bias: detail % 2 == 0 };
                graph.add(Op::Linear(linear), &[&flat]);
            }
        }
        15 if detail % 4 == 0 => {
            graph.add(Op::Softmax, &[&a]);
        }
        _ => {}
    }
}
