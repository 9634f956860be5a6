//! Operators without geometry, and the ones that treat a map as a vector.

use doconv::network::{Linear, Op};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{any_activation, channels, maybe_activation, with_numbers};

fn size() -> impl Strategy<Value = [usize; 2]> {
    [1usize..=12, 1usize..=12]
}

/// Sum and product, of maps of one size and with a 1×1 map on either side.
pub fn binary() -> BoxedStrategy<Problem> {
    let networks = (channels(), size(), 0usize..3, any::<bool>(), maybe_activation()).prop_map(
        |(channels, [height, width], broadcast, add, activation)| {
            let large = [channels, height, width];
            let small = [channels, 1, 1];
            let mut graph = Graph::new(if broadcast == 1 { small } else { large });
            let other = graph.input("other", if broadcast == 2 { small } else { large });
            let mut value = graph.add(if add { Op::Add } else { Op::Mul }, &["input", &other]);
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
    prop_oneof![single(Just(Op::Softmax), 3.0), single(Just(Op::Softmax), 2000.0)].boxed()
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
