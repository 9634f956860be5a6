//! EfficientNet-Lite, with the parameter names of PyPI `efficientnet-lite-pytorch`.
//!
//! Stem and head keep their width whatever the width multiplier, and the first and last stage their depth; there is no
//! squeeze-and-excitation and every activation is ReLU6. Padding is TensorFlow's SAME: asymmetric under stride 2.

use super::graph::{Graph, conv, round_to_eight};
use crate::network::{Activation::Relu6, Filter, Network};

/// (repeats, kernel, stride, expansion, output channels) per stage.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

pub(super) fn build(name: &str, width: f64, depth: f64, resolution: usize) -> Network {
    let crop_fraction = resolution as f64 / (resolution + 32) as f64;
    let (mean, std) = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
    let mut graph = Graph::new(name, 3, resolution).preprocess(crop_fraction, Filter::Bicubic, mean, std).eps(1e-3);

    graph.conv("_conv_stem", conv(32, 3).stride(2).same());
    graph.norm("_bn0");
    graph.activation("_relu0", Relu6);

    let mut index = 0;
    for (stage, &(repeats, kernel, stride, expansion, outputs)) in STAGES.iter().enumerate() {
        let outputs = if width == 1.0 { outputs } else { round_to_eight(outputs as f64 * width) };
        let edge = stage == 0 || stage + 1 == STAGES.len();
        let repeats = if edge { repeats } else { (repeats as f64 * depth).ceil() as usize };
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            block(&mut graph, index, outputs, kernel, stride, expansion);
            index += 1;
        }
    }

    graph.conv("_conv_head", conv(1280, 1));
    graph.norm("_bn1");
    graph.activation("_relu1", Relu6);
    graph.global_avg_pool("_avg_pooling");
    graph.linear("_fc", 1000);
    graph.finish()
}

/// An inverted residual block: expand 1×1, depthwise, project 1×1, and the input added where shapes allow.
fn block(graph: &mut Graph, index: usize, outputs: usize, kernel: usize, stride: usize, expansion: usize) {
    let name = |part: &str| format!("_blocks.{index}.{part}");
    let input = graph.last.clone();
    let inner = input.channels * expansion;
    if expansion != 1 {
        graph.conv(name("_expand_conv"), conv(inner, 1));
        graph.norm(name("_bn0"));
        graph.activation(name("_relu0"), Relu6);
    }
    graph.conv(name("_depthwise_conv"), conv(inner, kernel).stride(stride).groups(inner).same());
    graph.norm(name("_bn1"));
    graph.activation(name("_relu1"), Relu6);
    graph.conv(name("_project_conv"), conv(outputs, 1));
    graph.norm(name("_bn2"));
    if stride == 1 && input.channels == outputs {
        graph.add(name("_add"), input);
    }
}
