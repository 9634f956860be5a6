//! Images preprocessed and classes ranked on the device.

use crate::network::{Network, Op};
use crate::verification::case::Subject;
use crate::verification::graph::Graph;

/// A network whose classes are the values of its input.
fn identity(height: usize, width: usize) -> Network {
    let mut graph = Graph::new([3, height, width]);
    graph.add(Op::Flatten, &["input"]);
    graph.finish()
}

pub fn all() -> Vec<(String, Subject)> {
    let of = |(what, [height, width], batch, softmax): (&str, [usize; 2], usize, bool)| {
        (what.to_owned(), Subject::Images { network: identity(height, width), batch, softmax })
    };
    [
        ("images preprocessed, logits ranked", [9, 7], 3, true),
        ("images preprocessed, probabilities ranked", [5, 16], 2, false),
    ]
    .map(of)
    .into()
}
