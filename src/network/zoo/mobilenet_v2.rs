//! MobileNet v2 (Sandler et al., 2018).
//!
//! With torchvision's names (`features.1.conv.0.0`) the first block has no expansion and the classifier is a linear layer
//! with bias; with Gluon's (`features.3.out.0`) the first block has a 1×1 convolution that expands by 1, and the
//! classifier (`output.0`) is a 1×1 convolution without bias.

use super::Flavour;
use super::graph::{Conv, Graph, conv};
use crate::network::{Activation::Relu6, Network};

/// (expansion, output channels, repeats, stride) per stage.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

pub(super) fn build(name: &str, flavour: Flavour) -> Network {
    let mut graph = Graph::imagenet(name);
    let names = |torch: usize, gluon: usize| match flavour {
        Flavour::Torch => [0, 1, 2].map(|part| format!("features.{torch}.{part}")),
        Flavour::Gluon => [0, 1, 2].map(|part| format!("features.{}", gluon + part)),
    };
    layer(&mut graph, names(0, 0), conv(32, 3).stride(2));
    let mut index = 0;
    for (expansion, outputs, repeats, stride) in STAGES {
        for repeat in 0..repeats {
            block(&mut graph, flavour, index, expansion, outputs, if repeat == 0 { stride } else { 1 });
            index += 1;
        }
    }
    layer(&mut graph, names(index + 1, index + 3), conv(1280, 1));
    graph.global_avg_pool("avgpool");
    match flavour {
        Flavour::Torch => graph.linear("classifier.1", 1000),
        Flavour::Gluon => graph.conv("output.0", conv(1000, 1)),
    }
    graph.finish()
}

fn layer(graph: &mut Graph, [conv, norm, relu]: [String; 3], layer: Conv) {
    graph.conv(conv, layer);
    graph.norm(norm);
    graph.activation(relu, Relu6);
}

/// An inverted residual block: expand 1×1, depthwise, project 1×1, and the input added where shapes allow.
fn block(graph: &mut Graph, flavour: Flavour, index: usize, expansion: usize, outputs: usize, stride: usize) {
    let input = graph.last.clone();
    let inner = input.channels * expansion;
    let path = match flavour {
        Flavour::Torch => format!("features.{}", index + 1),
        Flavour::Gluon => format!("features.{}", index + 3),
    };
    let mut layers = vec![conv(inner, 1), conv(inner, 3).stride(stride).groups(inner)];
    if flavour == Flavour::Torch && expansion == 1 {
        layers.remove(0);
    }
    let count = layers.len();
    for (at, spec) in layers.into_iter().enumerate() {
        let names = [0, 1, 2].map(|part| match flavour {
            Flavour::Torch => format!("{path}.conv.{at}.{part}"),
            Flavour::Gluon => format!("{path}.out.{}", 3 * at + part),
        });
        layer(graph, names, spec);
    }
    let [project, norm] = [0, 1].map(|part| match flavour {
        Flavour::Torch => format!("{path}.conv.{}", count + part),
        Flavour::Gluon => format!("{path}.out.{}", 3 * count + part),
    });
    graph.conv(project, conv(outputs, 1));
    graph.norm(norm);
    if stride == 1 && input.channels == outputs {
        graph.add(format!("{path}.add"), input);
    }
}
