//! VGG-16 without batch norms (Simonyan and Zisserman, 2014).
//!
//! torchvision and Gluon number the convolutions alike (`features.0`, `features.2`, `features.5`, …); the fully connected
//! layers are `classifier.0`, `.3` and `.6` in torchvision, `features.31`, `features.33` and `output` in Gluon.

use super::Flavour;
use super::graph::{Graph, conv};
use crate::network::Network;

/// (convolutions, channels) per stage.
const STAGES: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

pub(super) fn vgg16(name: &str, flavour: Flavour) -> Network {
    let mut graph = Graph::imagenet(name);
    let mut index = 0;
    for (repeats, channels) in STAGES {
        for _ in 0..repeats {
            graph.conv(format!("features.{index}"), conv(channels, 3).bias());
            graph.relu(format!("features.{}", index + 1));
            index += 2;
        }
        graph.max_pool(format!("features.{index}"), 2, 0, false);
        index += 1;
    }
    let [first, second, head] = match flavour {
        Flavour::Torch => ["classifier.0", "classifier.3", "classifier.6"],
        Flavour::Gluon => ["features.31", "features.33", "output"],
    };
    graph.linear(first, 4096);
    graph.relu("relu1");
    graph.linear(second, 4096);
    graph.relu("relu2");
    graph.linear(head, 1000);
    graph.finish()
}
