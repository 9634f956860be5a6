//! ResNet for the 32×32 images of CIFAR-10 (He et al., 2015, section 4.2): three stages of 16, 32 and 64 channels.
//!
//! Names are those that PyTorch code for CIFAR commonly uses: `layer1.0.conv1`, `shortcut.0` and `shortcut.1` for the
//! projection (a 1×1 convolution and a norm, "option B"), and `linear`. GluonCV's network differs in that no ReLU
//! follows the first norm; its names (`features.2.0.body.0`) give that network.

use super::Flavour;
use super::graph::{Graph, conv};
use super::resnet::residual;
use crate::network::{Filter, Network};

pub(super) fn build(name: &str, depth: usize, flavour: Flavour) -> Network {
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
    let mut graph = Graph::new(name, 3, 32).preprocess(1.0, Filter::Bilinear, mean, std);
    let [stem, norm] = flavour.stem();
    graph.conv(stem, conv(16, 3));
    graph.norm(norm);
    let (shortcut, head) = match flavour {
        Flavour::Torch => ("shortcut", "linear"),
        Flavour::Gluon => ("downsample", "output"),
    };
    if flavour == Flavour::Torch {
        graph.relu("relu");
    }
    for stage in 0..3 {
        for repeat in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && repeat == 0 { 2 } else { 1 };
            let path = format!("{}.{repeat}", flavour.stage(stage, 2));
            let convs = [conv(16 << stage, 3).stride(stride), conv(16 << stage, 3)];
            residual(&mut graph, flavour, &path, &convs, Some(shortcut));
        }
    }
    graph.global_avg_pool("avgpool");
    graph.linear(head, 10);
    graph.finish()
}
