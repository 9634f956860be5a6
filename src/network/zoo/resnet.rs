//! ResNet v1 and v1b, ResNeXt, and the plain network without shortcuts (He et al., 2015; Xie et al., 2016).
//!
//! torchvision and GluonCV, on which the DO-Conv paper was trained, do not agree on ResNet v1:
//!
//! | | torchvision names (`layer1.0.conv1`) | Gluon names (`features.4.0.body.0`) |
//! |---|---|---|
//! | stride of a bottleneck | in the 3×3 convolution | in the first 1×1 convolution |
//! | first and last 1×1 of a bottleneck | no bias | with bias |
//!
//! So the names decide. GluonCV's v1b is torchvision's ResNet, names included, and ResNeXt is the same network in both;
//! hence `resnet50` and `resnet50_v1b` are one network under torchvision's names. `plain18` is `resnet18` without its
//! shortcuts and their projections, in either naming.

use super::Flavour;
use super::graph::{Conv, Graph, conv};
use crate::network::Network;

/// What distinguishes the members of the family.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub depth: usize,
    pub groups: usize,
    /// Channels per group of the 3×3 convolution of a bottleneck, per 64 channels of its stage.
    pub group_width: usize,
    pub shortcuts: bool,
    /// Gluon's v1: stride in the first convolution of a bottleneck, biases in its 1×1 convolutions.
    pub stride_first: bool,
}

impl Spec {
    pub fn new(depth: usize) -> Self {
        Self { depth, groups: 1, group_width: 64, shortcuts: true, stride_first: false }
    }
}

/// Blocks per stage.
pub(super) fn blocks(depth: usize) -> [usize; 4] {
    match depth {
        18 => [2, 2, 2, 2],
        34 | 50 => [3, 4, 6, 3],
        101 => [3, 4, 23, 3],
        _ => [3, 8, 36, 3],
    }
}

/// Whether a network of this depth has bottlenecks.
pub(super) fn has_bottlenecks(depth: usize) -> bool {
    depth >= 50
}

/// The names of the parts that all residual networks have.
impl Flavour {
    pub(super) fn stem(self) -> [&'static str; 2] {
        match self {
            Flavour::Torch => ["conv1", "bn1"],
            Flavour::Gluon => ["features.0", "features.1"],
        }
    }

    /// The prefix of a stage; `before` of Gluon's features come before the first.
    pub(super) fn stage(self, stage: usize, before: usize) -> String {
        match self {
            Flavour::Torch => format!("layer{}", stage + 1),
            Flavour::Gluon => format!("features.{}", stage + before),
        }
    }

    /// The names of a block's convolution and norm of this index.
    pub(super) fn conv_and_norm(self, block: &str, index: usize) -> [String; 2] {
        match self {
            Flavour::Torch => [format!("{block}.conv{}", index + 1), format!("{block}.bn{}", index + 1)],
            Flavour::Gluon => [format!("{block}.body.{}", 3 * index), format!("{block}.body.{}", 3 * index + 1)],
        }
    }
}

pub(super) fn build(name: &str, spec: Spec, flavour: Flavour) -> Network {
    let mut graph = Graph::imagenet(name);
    let [stem, norm] = flavour.stem();
    graph.conv(stem, conv(64, 7).stride(2));
    graph.norm(norm);
    graph.relu("relu");
    graph.max_pool("maxpool", 3, 1, false);
    for (stage, repeats) in blocks(spec.depth).into_iter().enumerate() {
        for repeat in 0..repeats {
            let stride = if stage > 0 && repeat == 0 { 2 } else { 1 };
            let path = format!("{}.{repeat}", flavour.stage(stage, 4));
            let convs = convs(spec, 64 << stage, stride);
            residual(&mut graph, flavour, &path, &convs, spec.shortcuts.then_some("downsample"));
        }
    }
    graph.global_avg_pool("avgpool");
    graph.linear(if flavour == Flavour::Gluon { "output" } else { "fc" }, 1000);
    graph.finish()
}

/// The convolutions of a block.
fn convs(spec: Spec, planes: usize, stride: usize) -> Vec<Conv> {
    if !has_bottlenecks(spec.depth) {
        return vec![conv(planes, 3).stride(stride), conv(planes, 3)];
    }
    let width = planes * spec.group_width / 64 * spec.groups;
    let spatial = conv(width, 3).groups(spec.groups);
    if spec.stride_first {
        vec![conv(width, 1).stride(stride).bias(), spatial, conv(4 * planes, 1).bias()]
    } else {
        vec![conv(width, 1), spatial.stride(stride), conv(4 * planes, 1)]
    }
}

/// Convolutions with norms and ReLUs, and the block's input added before the last ReLU. Where the shapes differ, the
/// input goes through a 1×1 convolution and a norm called `shortcut`; without such a name nothing is added.
pub(super) fn residual(graph: &mut Graph, flavour: Flavour, path: &str, convs: &[Conv], shortcut: Option<&str>) {
    let input = graph.last.clone();
    for (index, &layer) in convs.iter().enumerate() {
        let [conv, norm] = flavour.conv_and_norm(path, index);
        graph.conv(conv, layer);
        graph.norm(norm);
        if index + 1 < convs.len() {
            graph.relu(format!("{path}.relu{}", index + 1));
        }
    }
    if let Some(shortcut) = shortcut {
        let output = graph.last.clone();
        if input.channels == output.channels && input.size == output.size {
            graph.add(format!("{path}.add"), input);
        } else {
            let stride = input.size.div_ceil(output.size);
            graph.last = input;
            graph.conv(format!("{path}.{shortcut}.0"), conv(output.channels, 1).stride(stride));
            graph.norm(format!("{path}.{shortcut}.1"));
            graph.add(format!("{path}.add"), output);
        }
    }
    graph.relu(format!("{path}.relu{}", convs.len()));
}
