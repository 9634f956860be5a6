//! Single layers that make the heuristics choose what the networks of the zoo do not.

use doconv::network::{Activation, Conv2d, FORMAT_VERSION, Input, Network, Node, Op};

/// Networks of one convolution each, with their names.
pub fn networks() -> Vec<(String, Network)> {
    let conv = |inputs, outputs, kernel: usize| Conv2d {
        padding: [kernel / 2; 4],
        ..Conv2d::new(inputs, outputs, [kernel, kernel])
    };
    let depthwise = |kernel, stride, dilation| Conv2d {
        groups: 64,
        stride: [stride; 2],
        dilation: [dilation; 2],
        ..conv(64, 64, kernel)
    };
    let mut layers = vec![];
    // Images of one to four channels; few and many outputs.
    for inputs in 1..=4 {
        layers.extend([8, 16, 32, 64].map(|outputs| (conv(inputs, outputs, 3), 64)));
    }
    // Winograd convolution with both sizes, and with the fewest outputs that its heuristics take.
    layers.extend([8, 14, 16, 28, 56].map(|side| (conv(128, 128, 3), side)));
    // Maps and channels too small for a tile, long sums of few pixels.
    for channels in [4, 8, 12, 16, 32, 512] {
        layers.extend([1, 4, 7].map(|side| (conv(channels, channels, 1), side)));
        layers.extend([1, 4, 7].map(|side| (conv(channels, channels, 3), side)));
    }
    // Groups, of whole slices and of others.
    layers.push((Conv2d { groups: 4, ..conv(64, 64, 3) }, 28));
    layers.push((Conv2d { groups: 2, ..conv(128, 128, 3) }, 28));
    layers.push((Conv2d { groups: 8, ..conv(48, 48, 3) }, 28));
    for (kernel, stride, dilation) in [(3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 1, 1), (5, 2, 1), (7, 1, 1)] {
        layers.push((depthwise(kernel, stride, dilation), 28));
    }
    let plain = layers.into_iter().map(|(conv, side)| network(conv, side, None));
    // Each class of activations in the kernels that most layers have.
    let activations = Activation::ALL.into_iter().flat_map(|activation| {
        [(conv(64, 128, 1), 28), (conv(128, 128, 3), 28), (depthwise(3, 1, 1), 28)]
            .map(|(conv, side)| network(conv, side, Some(activation)))
    });
    plain.chain(activations).collect()
}

/// Layers that are worth composing in every mode: other kernels than 3×3, and maps of a pixel.
pub fn composed() -> Vec<(String, Network)> {
    let layers = [([2, 2], 28), ([5, 5], 28), ([3, 5], 28), ([3, 3], 3)];
    layers.map(|(kernel, side)| network(Conv2d::new(64, 64, kernel), side, None)).into()
}

fn network(conv: Conv2d, side: usize, activation: Option<Activation>) -> (String, Network) {
    let name = format!("a layer {}→{} {}×{}", conv.in_channels, conv.out_channels, conv.kernel[0], conv.kernel[1]);
    let input = Input::new("input", [conv.in_channels, side, side]);
    let mut nodes = vec![Node { name: "conv".into(), inputs: vec!["input".into()], op: Op::Conv2d(conv) }];
    if let Some(activation) = activation {
        nodes.push(Node { name: "act".into(), inputs: vec!["conv".into()], op: Op::Activation(activation) });
    }
    let outputs = vec![nodes[nodes.len() - 1].name.clone()];
    let network = Network {
        version: FORMAT_VERSION,
        name: name.clone(),
        inputs: vec![input],
        nodes,
        outputs,
        preprocess: None,
        labels: vec![],
    };
    (name, network)
}
