//! MobileNet v3, large and small (Howard et al., 2019).
//!
//! With torchvision's names (`features.1.block.0.0`) batch norms have epsilon 1e-3, the classifier is two linear layers,
//! and the small network's first has 1024 outputs; with Gluon's (`features.4.expand.conv`) epsilon is 1e-5, the
//! classifier is a 1×1 convolution without bias (`features.N`) and one with (`output.0`), and the first has 1280
//! outputs in both networks.

use super::Flavour;
use super::graph::{Conv, Graph, conv, round_to_eight};
use crate::network::Activation::{self, HardSigmoid, HardSwish, Relu};
use crate::network::Network;

/// (kernel, expanded channels, output channels, squeeze-and-excitation, activation, stride).
type Block = (usize, usize, usize, bool, Activation, usize);

const LARGE: [Block; 15] = [
    (3, 16, 16, false, Relu, 1),
    (3, 64, 24, false, Relu, 2),
    (3, 72, 24, false, Relu, 1),
    (5, 72, 40, true, Relu, 2),
    (5, 120, 40, true, Relu, 1),
    (5, 120, 40, true, Relu, 1),
    (3, 240, 80, false, HardSwish, 2),
    (3, 200, 80, false, HardSwish, 1),
    (3, 184, 80, false, HardSwish, 1),
    (3, 184, 80, false, HardSwish, 1),
    (3, 480, 112, true, HardSwish, 1),
    (3, 672, 112, true, HardSwish, 1),
    (5, 672, 160, true, HardSwish, 2),
    (5, 960, 160, true, HardSwish, 1),
    (5, 960, 160, true, HardSwish, 1),
];

const SMALL: [Block; 11] = [
    (3, 16, 16, true, Relu, 2),
    (3, 72, 24, false, Relu, 2),
    (3, 88, 24, false, Relu, 1),
    (5, 96, 40, true, HardSwish, 2),
    (5, 240, 40, true, HardSwish, 1),
    (5, 240, 40, true, HardSwish, 1),
    (5, 120, 48, true, HardSwish, 1),
    (5, 144, 48, true, HardSwish, 1),
    (5, 288, 96, true, HardSwish, 2),
    (5, 576, 96, true, HardSwish, 1),
    (5, 576, 96, true, HardSwish, 1),
];

pub(super) fn build(name: &str, large: bool, flavour: Flavour) -> Network {
    let blocks: &[Block] = if large { &LARGE } else { &SMALL };
    let torch = flavour == Flavour::Torch;
    let mut graph = Graph::imagenet(name).eps(if torch { 1e-3 } else { 1e-5 });
    // In Gluon's row of features the stem takes three places, and so does the last convolution.
    let names = |torch: usize, gluon: usize| match flavour {
        Flavour::Torch => [0, 1, 2].map(|part| format!("features.{torch}.{part}")),
        Flavour::Gluon => [0, 1, 2].map(|part| format!("features.{}", gluon + part)),
    };
    layer(&mut graph, names(0, 0), conv(16, 3).stride(2), Some(HardSwish));
    for (index, &spec) in blocks.iter().enumerate() {
        match flavour {
            Flavour::Torch => block(&mut graph, &format!("features.{}", index + 1), spec, torch_names),
            Flavour::Gluon => block(&mut graph, &format!("features.{}", index + 3), spec, gluon_names),
        }
    }
    let count = blocks.len();
    let last = 6 * graph.last.channels;
    layer(&mut graph, names(count + 1, count + 3), conv(last, 1), Some(HardSwish));
    graph.global_avg_pool("avgpool");
    match flavour {
        Flavour::Torch => {
            graph.linear("classifier.0", if large { 1280 } else { 1024 });
            graph.activation("classifier.1", HardSwish);
            graph.linear("classifier.3", 1000);
        }
        Flavour::Gluon => {
            graph.conv(format!("features.{}", count + 7), conv(1280, 1));
            graph.activation(format!("features.{}", count + 8), HardSwish);
            graph.conv("output.0", conv(1000, 1).bias());
        }
    }
    graph.finish()
}

/// A part of a block.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Expand,
    Depthwise,
    Project,
}

/// What a naming makes of a block's path, a part, and how many parts came before: convolution, norm and activation,
/// and the two convolutions of the squeeze-and-excitation that follows the part.
type Names = fn(&str, Part, usize) -> ([String; 3], [String; 2]);

fn torch_names(path: &str, _: Part, before: usize) -> ([String; 3], [String; 2]) {
    let part = |index: usize, name: &str| format!("{path}.block.{index}.{name}");
    (["0", "1", "2"].map(|name| part(before, name)), ["fc1", "fc2"].map(|name| part(before + 1, name)))
}

fn gluon_names(path: &str, part: Part, _: usize) -> ([String; 3], [String; 2]) {
    let unit = match part {
        Part::Expand => "expand",
        Part::Depthwise => "conv1",
        Part::Project => "conv2",
    };
    (
        ["conv", "bn", "act"].map(|name| format!("{path}.{unit}.{name}")),
        ["conv1", "conv2"].map(|name| format!("{path}.se.{name}")),
    )
}

fn layer(graph: &mut Graph, [conv, norm, activation]: [String; 3], layer: Conv, function: Option<Activation>) {
    graph.conv(conv, layer);
    graph.norm(norm);
    if let Some(function) = function {
        graph.activation(activation, function);
    }
}

fn block(graph: &mut Graph, path: &str, (kernel, inner, outputs, squeeze, activation, stride): Block, names: Names) {
    let input = graph.last.clone();
    let mut parts = 0;
    if inner != input.channels {
        layer(graph, names(path, Part::Expand, parts).0, conv(inner, 1), Some(activation));
        parts += 1;
    }
    let (depthwise, [reduce, restore]) = names(path, Part::Depthwise, parts);
    layer(graph, depthwise, conv(inner, kernel).stride(stride).groups(inner), Some(activation));
    parts += 1;
    if squeeze {
        let features = graph.last.clone();
        graph.global_avg_pool(format!("{path}.se.avgpool"));
        graph.conv(reduce, conv(round_to_eight((inner / 4) as f64), 1).bias());
        graph.relu(format!("{path}.se.relu"));
        graph.conv(restore, conv(inner, 1).bias());
        graph.activation(format!("{path}.se.gate"), HardSigmoid);
        graph.gate(format!("{path}.se.mul"), features);
        parts += 1;
    }
    layer(graph, names(path, Part::Project, parts).0, conv(outputs, 1), None);
    if stride == 1 && input.channels == outputs {
        graph.add(format!("{path}.add"), input);
    }
}
