//! EfficientNet-Lite, with the parameter names of PyPI `efficientnet-lite-pytorch`.
//!
//! Stem and head keep their width whatever the width multiplier, and the first and last stage their depth; there is no
//! squeeze-and-excitation and every activation is ReLU6. Padding is TensorFlow's SAME: asymmetric under stride 2.

use crate::network::{
    Activation, BatchNorm, Conv2d, DoConv, FORMAT_VERSION, Filter, Input, Linear, Network, Node, Op, Pairing,
    Preprocess,
};

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
const STEM: usize = 32;
const HEAD: usize = 1280;
const CLASSES: usize = 1000;

pub(super) fn build(name: &str, width: f64, depth: f64, resolution: usize) -> Network {
    let mut graph = Graph { nodes: vec![], last: "image".into(), size: resolution };

    graph.conv("_conv_stem", 3, STEM, 3, 2, 1);
    graph.norm("_bn0", STEM);
    graph.activation("_relu0");

    let mut channels = STEM;
    let mut block = 0;
    for (stage, &(repeats, kernel, stride, expansion, outputs)) in STAGES.iter().enumerate() {
        let outputs = round_filters(outputs, width);
        let edge = stage == 0 || stage + 1 == STAGES.len();
        let repeats = if edge { repeats } else { (repeats as f64 * depth).ceil() as usize };
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            graph.block(block, channels, outputs, kernel, stride, expansion);
            channels = outputs;
            block += 1;
        }
    }

    graph.conv("_conv_head", channels, HEAD, 1, 1, 1);
    graph.norm("_bn1", HEAD);
    graph.activation("_relu1");
    graph.push("_avg_pooling", Op::GlobalAvgPool);
    graph.push("_fc", Op::Linear(Linear { in_features: HEAD, out_features: CLASSES, bias: true }));

    Network {
        version: FORMAT_VERSION,
        name: name.into(),
        inputs: vec![Input::new("image", [3, resolution, resolution])],
        nodes: graph.nodes,
        outputs: vec!["_fc".into()],
        preprocess: Some(Preprocess {
            crop_fraction: resolution as f64 / (resolution + 32) as f64,
            filter: Filter::Bicubic,
            mean: [127.0; 3],
            std: [128.0; 3],
        }),
        labels: vec![],
    }
}

/// Channels scaled by the width multiplier, to a multiple of 8 that is no more than 10 % below.
fn round_filters(channels: usize, width: f64) -> usize {
    if width == 1.0 {
        return channels;
    }
    let scaled = channels as f64 * width;
    let rounded = ((scaled + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * scaled { rounded + 8 } else { rounded }
}

struct Graph {
    nodes: Vec<Node>,
    /// The value the next node reads.
    last: String,
    /// Height and width of that value.
    size: usize,
}

impl Graph {
    fn push(&mut self, name: &str, op: Op) {
        self.nodes.push(Node { name: name.into(), inputs: vec![std::mem::replace(&mut self.last, name.into())], op });
    }

    fn norm(&mut self, name: &str, channels: usize) {
        self.push(name, Op::BatchNorm(BatchNorm { channels, eps: 1e-3 }));
    }

    fn activation(&mut self, name: &str) {
        self.push(name, Op::Activation(Activation::Relu6));
    }

    /// A convolution with SAME padding; every spatial one is a DO-Conv layer.
    fn conv(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) {
        let size = self.size.div_ceil(stride);
        let total = ((size - 1) * stride + kernel).saturating_sub(self.size);
        let (before, after) = (total / 2, total - total / 2);
        let taps = kernel * kernel;
        self.size = size;
        self.push(
            name,
            Op::Conv2d(Conv2d {
                stride: [stride; 2],
                padding: [before, before, after, after],
                groups,
                doconv: (taps > 1).then_some(DoConv { d_mul: taps, pairing: Pairing::Paper }),
                ..Conv2d::new(inputs, outputs, [kernel; 2])
            }),
        );
    }

    /// An inverted residual block: expand 1×1, depthwise, project 1×1, and the input added where shapes allow.
    fn block(&mut self, index: usize, inputs: usize, outputs: usize, kernel: usize, stride: usize, expansion: usize) {
        let name = |part: &str| format!("_blocks.{index}.{part}");
        let shortcut = self.last.clone();
        let inner = inputs * expansion;
        if expansion != 1 {
            self.conv(&name("_expand_conv"), inputs, inner, 1, 1, 1);
            self.norm(&name("_bn0"), inner);
            self.activation(&name("_relu0"));
        }
        self.conv(&name("_depthwise_conv"), inner, inner, kernel, stride, inner);
        self.norm(&name("_bn1"), inner);
        self.activation(&name("_relu1"));
        self.conv(&name("_project_conv"), inner, outputs, 1, 1, 1);
        self.norm(&name("_bn2"), outputs);
        if stride == 1 && inputs == outputs {
            let add = name("_add");
            self.nodes.push(Node { name: add.clone(), inputs: vec![self.last.clone(), shortcut], op: Op::Add });
            self.last = add;
        }
    }
}
