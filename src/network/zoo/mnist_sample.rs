//! The DO-Conv authors' PyTorch sample for MNIST: three 3×3 convolutions of stride 2 with bias, a ReLU after each, and
//! the mean over what is left of the map.
//!
//! Their `sample_pt.py` is an `nn.Sequential`, so its state dicts have the names `0`, `2` and `4`; both these and
//! `conv1`, `conv2`, `conv3` are read.

use super::graph::{Graph, conv};
use crate::network::Network;

pub(super) fn build(name: &str, layers: [&str; 3]) -> Network {
    let mut graph = Graph::new(name, 1, 28);
    for (index, (layer, outputs)) in layers.into_iter().zip([16, 16, 10]).enumerate() {
        graph.conv(layer, conv(outputs, 3).stride(2).bias());
        graph.relu(format!("relu{}", index + 1));
    }
    graph.global_avg_pool("avgpool");
    graph.finish()
}
