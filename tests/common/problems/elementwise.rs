//! Operators without geometry, and the ones that treat a map as a vector.

use doconv::network::{Linear, Lrn, Op};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{any_activation, channels, maybe_activation, with_numbers};

fn size() -> impl Strategy<Value = [usize; 2]> {
    [1usize..=12, 1usize..=12]
}

/// Functions of two maps: of one size, with a 1×1 map on either side, and repeated along any axes; with constants too.
pub fn binary() -> BoxedStrategy<Problem> {
    let ops = prop_oneof![
        Just(Op::Add),
        Just(Op::Sub),
        Just(Op::Mul),
        // By a constant, which is far from zero.
        Just(Op::Div),
        Just(Op::Prelu)
    ];
    let items = prop_oneof![4 => Just(1usize), 1 => 2usize..=3];
    // Which axes of which operand have the extent 1.
    let repeats = prop_oneof![
        2 => Just([[false; 4]; 2]),
        2 => Just([[false; 4], [false, false, true, true]]),
        1 => Just([[false, false, true, true], [false; 4]]),
        3 => any::<[[bool; 4]; 2]>(),
    ];
    let networks = (ops, (items, channels(), size()), repeats, any::<bool>(), maybe_activation()).prop_map(
        |(op, (items, channels, [height, width]), repeats, constant, activation)| {
            let [a, b] = repeats.map(|repeats| {
                let shape = [items, channels, height, width];
                std::array::from_fn(|axis| if repeats[axis] { 1 } else { shape[axis] })
            });
            let mut graph = Graph::of_items(a);
            let other =
                if constant || op == Op::Div { graph.add(Op::Constant(b), &[]) } else { graph.items("other", b) };
            let mut value = graph.add(op, &["input", &other]);
            if let Some(activation) = activation {
                value = graph.add(Op::Activation(activation), &[&value]);
            }
            graph.finish(&[&value])
        },
    );
    with_numbers(networks)
}

/// One to four maps, mostly with channel counts that are no multiple of four.
pub fn concat() -> BoxedStrategy<Problem> {
    let networks = (proptest::collection::vec(channels(), 1..=4), size()).prop_map(|(channels, [height, width])| {
        let mut graph = Graph::new([channels[0], height, width]);
        let mut names = vec!["input".to_string()];
        for (index, &channels) in channels.iter().enumerate().skip(1) {
            names.push(graph.input(&format!("input{index}"), [channels, height, width]));
        }
        let value = graph.add(Op::Concat, &names.iter().map(String::as_str).collect::<Vec<_>>());
        graph.finish(&[&value])
    });
    with_numbers(networks)
}

fn single(op: impl Strategy<Value = Op> + 'static, range: f32) -> BoxedStrategy<Problem> {
    let networks = (op, channels(), size()).prop_map(|(op, channels, [height, width])| {
        let mut graph = Graph::new([channels, height, width]);
        let value = graph.add(op, &["input"]);
        graph.finish(&[&value])
    });
    with_numbers(networks).prop_map(move |problem| Problem { input_range: range, ..problem }).boxed()
}

/// Every activation by itself, on both sides of all its corners and far beyond.
pub fn activation() -> BoxedStrategy<Problem> {
    let near = single(any_activation().prop_map(Op::Activation), 8.0);
    let far = single(any_activation().prop_map(Op::Activation), 500.0);
    prop_oneof![near, far].boxed()
}

/// A batch norm that follows no convolution.
pub fn batch_norm() -> BoxedStrategy<Problem> {
    let networks = (channels(), size(), maybe_activation()).prop_map(|(channels, [height, width], activation)| {
        let mut graph = Graph::new([channels, height, width]);
        let mut value = graph.batch_norm("input");
        if let Some(activation) = activation {
            value = graph.add(Op::Activation(activation), &[&value]);
        }
        graph.finish(&[&value])
    });
    with_numbers(networks)
}

/// Ordinary logits, and logits whose exponentials overflow.
pub fn softmax() -> BoxedStrategy<Problem> {
    let op = || prop_oneof![Just(Op::Softmax), Just(Op::LogSoftmax)];
    prop_oneof![single(op(), 3.0), single(op(), 2000.0)].boxed()
}

/// Local response normalisation with windows of all sizes.
pub fn lrn() -> BoxedStrategy<Problem> {
    let op = (1usize..=9, 0.0f32..2.0, 0.1f32..1.5, 0.5f32..3.0)
        .prop_map(|(size, alpha, beta, k)| Op::Lrn(Lrn { size, alpha, beta, k }));
    single(op, 4.0)
}

/// Larger maps flattened into an output, a softmax, an activation or a linear layer, or into several of them.
pub fn flatten() -> BoxedStrategy<Problem> {
    let readers = proptest::collection::vec(0usize..4, 1..=3);
    let networks = (1usize..=10, [1usize..=6, 1usize..=6], readers, any_activation()).prop_map(
        |(channels, [height, width], readers, activation)| {
            let mut graph = Graph::new([channels, height, width]);
            let flat = graph.add(Op::Flatten, &["input"]);
            let in_features = channels * height * width;
            let outputs: Vec<String> = readers
                .iter()
                .map(|reader| match reader {
                    0 => flat.clone(),
                    1 => graph.add(Op::Softmax, &[&flat]),
                    2 => graph.add(Op::Activation(activation), &[&flat]),
                    _ => graph.add(Op::Linear(Linear { in_features, out_features: 3, bias: true }), &[&flat]),
                })
                .collect();
            graph.finish(&outputs.iter().map(String::as_str).collect::<Vec<_>>())
        },
    );
    with_numbers(networks)
}

/// Fully connected layers on vectors and on maps.
pub fn linear() -> BoxedStrategy<Problem> {
    let size = prop_oneof![Just([1, 1]), [1usize..=6, 1usize..=6]];
    let networks = (channels(), size, channels(), any::<bool>(), maybe_activation()).prop_map(
        |(channels, [height, width], out_features, bias, activation)| {
            let mut graph = Graph::new([channels, height, width]);
            let in_features = channels * height * width;
            let mut value = graph.add(Op::Linear(Linear { in_features, out_features, bias }), &["input"]);
            if let Some(activation) = activation {
                value = graph.add(Op::Activation(activation), &[&value]);
            }
            graph.finish(&[&value])
        },
    );
    with_numbers(networks)
}
