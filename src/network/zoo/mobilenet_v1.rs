//! MobileNet v1 (Howard et al., 2017), as GluonCV has it.
//!
//! torchvision has no such network. The primary names are made in its manner: `conv1`, `bn1`, then for every block
//! `layers.0.conv1` (depthwise), `layers.0.bn1`, `layers.0.conv2` (1×1), `layers.0.bn2`, and `fc`. In Gluon all
//! features are numbered in a row: `features.0`, `features.1`, `features.3`, …, and `output`.

use super::Flavour;
use super::graph::{Graph, conv};
use crate::network::Network;

/// (stride, output channels) per block.
const BLOCKS: [(usize, usize); 13] = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
];

pub(super) fn build(name: &str, flavour: Flavour) -> Network {
    let mut graph = Graph::imagenet(name);
    // Counts convolutions: every one comes with a norm and a ReLU.
    let mut count = 0;
    let mut layer = |graph: &mut Graph, layer| {
        let [conv, norm, relu] = match (flavour, count) {
            (Flavour::Gluon, _) => [0, 1, 2].map(|part| format!("features.{}", 3 * count + part)),
            (Flavour::Torch, 0) => ["conv1", "bn1", "relu1"].map(String::from),
            (Flavour::Torch, _) => {
                let (block, number) = ((count - 1) / 2, (count - 1) % 2 + 1);
                ["conv", "bn", "relu"].map(|part| format!("layers.{block}.{part}{number}"))
            }
        };
        graph.conv(conv, layer);
        graph.norm(norm);
        graph.relu(relu);
        count += 1;
    };
    layer(&mut graph, conv(32, 3).stride(2));
    for (stride, outputs) in BLOCKS {
        let channels = graph.last.channels;
        layer(&mut graph, conv(channels, 3).stride(stride).groups(channels));
        layer(&mut graph, conv(outputs, 1));
    }
    graph.global_avg_pool("avgpool");
    graph.linear(if flavour == Flavour::Gluon { "output" } else { "fc" }, 1000);
    graph.finish()
}
