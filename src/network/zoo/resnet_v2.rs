//! ResNet v2: norms and ReLUs before the convolutions (He et al., *Identity Mappings in Deep Residual Networks*, 2016),
//! as GluonCV has it.
//!
//! A norm of the image comes first (in Gluon its `gamma` is the constant 1 and its `beta` 0), a norm and a ReLU of the
//! sum come last, and a projection reads the block's first ReLU. torchvision has no such network. The primary names are
//! made in its manner:
//!
//! | primary | Gluon |
//! |---|---|
//! | `bn_data`, `conv1`, `bn1` | `features.0`, `features.1`, `features.2` |
//! | `layer1.0.bn1`, `.conv1`, `.bn2`, `.conv2` (`.bn3`, `.conv3`) | `features.5.0.bn1`, … |
//! | `layer2.0.downsample` | `features.6.0.downsample` |
//! | `bn_final`, `fc` | `features.9`, `output` |

use super::Flavour;
use super::graph::{Graph, conv};
use super::resnet::{blocks, has_bottlenecks};
use crate::network::Network;

pub(super) fn build(name: &str, depth: usize, flavour: Flavour) -> Network {
    let [data, stem, norm, last, head] = match flavour {
        Flavour::Torch => ["bn_data", "conv1", "bn1", "bn_final", "fc"],
        Flavour::Gluon => ["features.0", "features.1", "features.2", "features.9", "output"],
    };
    let mut graph = Graph::imagenet(name);
    graph.norm(data);
    graph.conv(stem, conv(64, 7).stride(2));
    graph.norm(norm);
    graph.relu("relu");
    graph.max_pool("maxpool", 3, 1, false);
    for (stage, repeats) in blocks(depth).into_iter().enumerate() {
        for repeat in 0..repeats {
            let stride = if stage > 0 && repeat == 0 { 2 } else { 1 };
            let path = format!("{}.{repeat}", flavour.stage(stage, 5));
            block(&mut graph, &path, has_bottlenecks(depth), 64 << stage, stride);
        }
    }
    graph.norm(last);
    graph.relu("relu_final");
    graph.global_avg_pool("avgpool");
    graph.linear(head, 1000);
    graph.finish()
}

fn block(graph: &mut Graph, path: &str, bottleneck: bool, planes: usize, stride: usize) {
    let outputs = if bottleneck { 4 * planes } else { planes };
    let convs = match bottleneck {
        true => vec![conv(planes, 1), conv(planes, 3).stride(stride), conv(outputs, 1)],
        false => vec![conv(planes, 3).stride(stride), conv(planes, 3)],
    };
    let mut shortcut = graph.last.clone();
    for (index, layer) in convs.into_iter().enumerate() {
        let number = index + 1;
        graph.norm(format!("{path}.bn{number}"));
        graph.relu(format!("{path}.relu{number}"));
        if index == 0 && shortcut.channels != outputs {
            let activated = graph.last.clone();
            graph.conv(format!("{path}.downsample"), conv(outputs, 1).stride(stride));
            shortcut = std::mem::replace(&mut graph.last, activated);
        }
        graph.conv(format!("{path}.conv{number}"), layer);
    }
    graph.add(format!("{path}.add"), shortcut);
}
