//! Convolutions of all geometries, plain and DO-Conv, with everything that may be fused behind them.

use doconv::network::{Activation, Conv2d, ConvTranspose2d, DoConv, Network, Op, PaddingMode, Pairing};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{channels, maybe_activation};

/// More multiply-accumulates than this are not worth the reference's time.
const MOST_WORK: usize = 400_000;

/// Geometry of a layer and the map it reads.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv2d,
    size: [usize; 2],
}

/// What comes behind the convolution.
#[derive(Clone, Copy, Debug)]
struct Tail {
    batch_norm: bool,
    /// Add another convolution of the same shape.
    residual: bool,
    activation: Option<Activation>,
}

/// Input and output channels, and groups: dense, grouped, and depthwise with and without a channel multiplier.
fn connectivity() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        4 => (channels(), channels()).prop_map(|(inputs, outputs)| (inputs, outputs, 1)),
        2 => (2usize..=4, 1usize..=9, 1usize..=9).prop_map(|(groups, cpg, q)| (groups * cpg, groups * q, groups)),
        2 => (channels(), 1usize..=3).prop_map(|(inputs, multiplier)| (inputs, inputs * multiplier, inputs)),
    ]
}

fn layer() -> impl Strategy<Value = Layer> {
    let kernel = prop_oneof![
        3 => (1usize..=7).prop_map(|side| [side, side]),
        2 => [1usize..=7, 1usize..=7],
    ];
    let stride = prop_oneof![2 => Just([1, 1]), 1 => (2usize..=3).prop_map(|s| [s, s]), 1 => [1usize..=3, 1usize..=3]];
    let dilation = prop_oneof![3 => Just([1, 1]), 1 => [1usize..=3, 1usize..=3]];
    // Same padding on all sides, none at all, or anything.
    let padding = prop_oneof![
        2 => (0usize..=3).prop_map(|side| [side; 4]),
        1 => Just([0; 4]),
        2 => [0usize..=4, 0usize..=4, 0usize..=4, 0usize..=4],
    ];
    let mode = prop_oneof![2 => Just(PaddingMode::Zeros), 1 => proptest::sample::select(PaddingMode::ALL.to_vec())];
    // A kernel as large as the padded map gives a single pixel.
    let size = prop_oneof![4 => [1usize..=20, 1usize..=20].prop_map(Some), 1 => Just(None)];
    (connectivity(), kernel, stride, dilation, (padding, mode), any::<bool>(), size).prop_map(
        |((in_channels, out_channels, groups), kernel, stride, dilation, (padding, padding_mode), bias, size)| {
            let conv = Conv2d {
                stride,
                padding,
                padding_mode,
                dilation,
                groups,
                bias,
                ..Conv2d::new(in_channels, out_channels, kernel)
            };
            let least = least_size(&conv);
            let mut size = size.map_or(least, |size| [size[0].max(least[0]), size[1].max(least[1])]);
            let per_pixel = out_channels * in_channels / groups * kernel[0] * kernel[1];
            let work = |size: [usize; 2]| size[0] * size[1] / (stride[0] * stride[1]) * per_pixel;
            while work(size) > MOST_WORK && size != least {
                size = [0, 1].map(|axis| (size[axis] - 1).max(least[axis]));
            }
            Layer { conv, size }
        },
    )
}

/// The smallest map that the window fits, and that reaches far enough for what it is padded with.
fn least_size(conv: &Conv2d) -> [usize; 2] {
    [0, 1].map(|axis| {
        let reach = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
        let padding = [conv.padding[axis], conv.padding[axis + 2]];
        let most = padding[0].max(padding[1]);
        let mirrored = match conv.padding_mode {
            PaddingMode::Zeros | PaddingMode::Replicate => 1,
            PaddingMode::Reflect => most + 1,
            PaddingMode::Circular => most,
        };
        reach.saturating_sub(padding[0] + padding[1]).max(mirrored).max(1)
    })
}

fn tail() -> impl Strategy<Value = Tail> {
    (any::<bool>(), any::<bool>(), maybe_activation()).prop_map(|(batch_norm, residual, activation)| Tail {
        batch_norm,
        residual,
        activation,
    })
}

fn network(layer: Layer, tail: Tail) -> Network {
    let Layer { conv, size } = layer;
    let mut graph = Graph::new([conv.in_channels, size[0], size[1]]);
    let mut value = graph.add(Op::Conv2d(conv.clone()), &["input"]);
    if tail.batch_norm {
        value = graph.batch_norm(&value);
    }
    if tail.residual {
        let [_, c, h, w] = graph.shape(&value);
        let other = graph.input("residual", [c, h, w]);
        value = graph.add(Op::Add, &[&value, &other]);
    }
    if let Some(activation) = tail.activation {
        value = graph.add(Op::Activation(activation), &[&value]);
    }
    graph.finish(&[&value])
}

/// Ordinary convolutions.
pub fn plain() -> BoxedStrategy<Problem> {
    super::with_numbers((layer(), tail()).prop_map(|(layer, tail)| network(layer, tail)))
}

/// DO-Conv layers of all kinds: composed with fewer, as many and more columns than taps, and folded.
pub fn doconv() -> BoxedStrategy<Problem> {
    let extra = prop_oneof![3 => Just(0isize), 1 => 1isize..=12, 1 => -4isize..=-1];
    let layers = (layer(), extra, any::<bool>(), any::<bool>());
    let layers = layers.prop_map(|(mut layer, extra, torch, composed)| {
        let taps = layer.conv.taps();
        let d_mul = match (taps, composed) {
            (1, _) => 1,
            (_, true) => taps.saturating_add_signed(extra).max(1),
            // Only a D of full rank can be made for a kernel that is there.
            (_, false) => taps + extra.max(0) as usize,
        };
        let pairing = if torch { Pairing::Torch } else { Pairing::Paper };
        layer.conv.doconv = Some(DoConv { d_mul, pairing });
        shrink_for_features(&mut layer);
        (layer, composed)
    });
    (layers, tail(), any::<u64>(), 1usize..=2)
        .prop_map(|((layer, composed), tail, seed, batch)| Problem {
            composed,
            ..Problem::new(network(layer, tail), seed, batch)
        })
        .boxed()
}

/// Transposed convolutions of all geometries.
pub fn transposed() -> BoxedStrategy<Problem> {
    let kernel = [1usize..=5, 1usize..=5];
    let stride = prop_oneof![1 => Just([1, 1]), 2 => Just([2, 2]), 2 => [1usize..=4, 1usize..=4]];
    let dilation = prop_oneof![3 => Just([1, 1]), 1 => [1usize..=3, 1usize..=3]];
    let padding = prop_oneof![1 => Just([0; 4]), 2 => [0usize..=4, 0usize..=4, 0usize..=4, 0usize..=4]];
    let more = [0usize..=3, 0usize..=3];
    let size = [1usize..=9, 1usize..=9];
    let flags = (any::<bool>(), super::maybe_activation());
    let networks = (connectivity(), kernel, stride, dilation, (padding, more), size, flags).prop_filter_map(
        "an output of no pixels, or too much work",
        |((in_channels, out_channels, groups), kernel, stride, dilation, (padding, more), size, (bias, activation))| {
            let output_padding = [0, 1].map(|axis| more[axis].min(stride[axis].max(dilation[axis]) - 1));
            let conv = ConvTranspose2d {
                in_channels,
                out_channels,
                kernel,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
                bias,
            };
            if in_channels * out_channels / groups * conv.taps() * size[0] * size[1] > MOST_WORK {
                return None;
            }
            let mut graph = Graph::new([in_channels, size[0], size[1]]);
            let mut value = graph.try_add(Op::ConvTranspose2d(conv), &["input"])?;
            if let Some(activation) = activation {
                value = graph.add(Op::Activation(activation), &[&value]);
            }
            Some(graph.finish(&[&value]))
        },
    );
    super::with_numbers(networks)
}

/// Feature composition costs up to S times more.
fn shrink_for_features(layer: &mut Layer) {
    let conv = &layer.conv;
    let s = conv.doconv.map_or(1, |doconv| doconv.d_mul);
    let per_pixel = conv.in_channels * conv.taps() * s + conv.out_channels * conv.channels_per_group() * s;
    for (axis, least) in least_size(conv).into_iter().enumerate() {
        while layer.size[0] * layer.size[1] * per_pixel > 2 * MOST_WORK && layer.size[axis] > least {
            layer.size[axis] -= 1;
        }
    }
}
