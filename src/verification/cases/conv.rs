//! Convolutions by every kernel that can run them.

use crate::gpu::kernels::conv::{KERNELS, search_space};
use crate::gpu::policy::{Tier, layer};
use crate::network::{Activation, Conv2d, Network, Op, PaddingMode};
use crate::plan::{Mode, Plan, Step};
use crate::verification::case::{SEED, Subject};
use crate::verification::graph::{Graph, random_model};
use crate::verification::list::{List, Want};
use crate::{Precision, Result};

/// A layer, and the height and width of its input.
pub struct Layer {
    pub what: &'static str,
    pub conv: Conv2d,
    pub size: [usize; 2],
}

/// What a policy may prefer: every kernel, both Winograd convolutions, sums in parts.
fn preferences() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.name()).chain(["winograd_f2", "winograd_f4", "split"]).collect()
}

/// A layer with bias and what is fused behind it.
pub fn network(conv: &Conv2d, [height, width]: [usize; 2], residual: bool, activation: Option<Activation>) -> Network {
    let mut graph = Graph::new([conv.in_channels, height, width]);
    let mut value = graph.add(Op::Conv2d(conv.clone()), &["input"]);
    if residual && let Ok(shape) = graph.last_shape() {
        let other = graph.input("residual", shape);
        value = graph.add(Op::Add, &[&value, &other]);
    }
    if let Some(activation) = activation {
        graph.add(Op::Activation(activation), &[&value]);
    }
    graph.finish()
}

fn subject(layer: &Layer, batch: usize) -> Subject {
    let network = network(&layer.conv, layer.size, false, None);
    Subject::Network { network, mode: Mode::Folded, batch, range: 2.0 }
}

/// The geometry of convolutions: kernels, strides, dilations, padding, channels that fill slices and that do not, groups.
pub fn geometries() -> Vec<Layer> {
    let conv = |inputs, outputs, kernel| Conv2d { bias: true, ..Conv2d::new(inputs, outputs, kernel) };
    let square = |inputs, outputs| Conv2d { padding: [1; 4], ..conv(inputs, outputs, [3, 3]) };
    let depthwise = |channels, kernel: [usize; 2]| {
        let [y, x] = [kernel[0] / 2, kernel[1] / 2];
        Conv2d { groups: channels, padding: [y, x, y, x], ..conv(channels, channels, kernel) }
    };
    let of = |what, size, conv| Layer { what, conv, size };
    vec![
        of("1x1 16-24", [7, 9], conv(16, 24, [1, 1])),
        of("1x1 64-64", [8, 8], conv(64, 64, [1, 1])),
        of("1x1 20-12 of one pixel", [1, 1], conv(20, 12, [1, 1])),
        of("1x1 stride 2", [7, 9], Conv2d { stride: [2, 2], ..conv(8, 16, [1, 1]) }),
        of("1x1 96-40 of few pixels", [2, 3], conv(96, 40, [1, 1])),
        of("3x3 16-24", [7, 9], square(16, 24)),
        of("3x3 64-64", [8, 8], square(64, 64)),
        of("3x3 64-64 of few pixels", [3, 3], square(64, 64)),
        of("3x3 stride 2", [9, 8], Conv2d { stride: [2, 2], ..square(12, 20) }),
        of("3x3 dilation 2", [9, 9], Conv2d { dilation: [2, 2], padding: [2; 4], ..square(8, 12) }),
        of("3x3 reflected", [6, 7], Conv2d { padding_mode: PaddingMode::Reflect, ..square(8, 8) }),
        of("2x5 stride 1x2, uneven padding", [6, 11], {
            Conv2d { stride: [1, 2], padding: [0, 1, 2, 3], ..conv(6, 10, [2, 5]) }
        }),
        of("3x3 1-8", [6, 7], square(1, 8)),
        of("3x3 2-8", [6, 7], square(2, 8)),
        of("3x3 3-16", [6, 7], square(3, 16)),
        of("3x3 4-8", [6, 7], square(4, 8)),
        of("3x3 5-7", [6, 7], square(5, 7)),
        of("3x3 16-32 in 2 groups", [6, 7], Conv2d { groups: 2, ..square(16, 32) }),
        of("1x1 16-16 in 4 groups", [6, 7], Conv2d { groups: 4, ..conv(16, 16, [1, 1]) }),
        of("3x3 64-64 in 2 groups", [6, 7], Conv2d { groups: 2, ..square(64, 64) }),
        of("3x3 6-9 in 3 groups", [6, 7], Conv2d { groups: 3, ..square(6, 9) }),
        of("3x3 12-8 in 4 groups", [6, 7], Conv2d { groups: 4, ..square(12, 8) }),
        of("3x3 15-10 in 5 groups, stride 2", [6, 7], Conv2d { groups: 5, stride: [2, 2], ..square(15, 10) }),
        of("depthwise 3x3", [7, 9], depthwise(10, [3, 3])),
        of("depthwise 3x3 stride 2", [7, 9], Conv2d { stride: [2, 2], ..depthwise(12, [3, 3]) }),
        of("depthwise 3x3 stride 3", [9, 9], Conv2d { stride: [3, 3], ..depthwise(4, [3, 3]) }),
        of("depthwise 3x3 dilation 2", [7, 9], Conv2d { dilation: [2, 2], ..depthwise(8, [3, 3]) }),
        of("depthwise 5x5", [7, 9], depthwise(9, [5, 5])),
        of("depthwise 7x7", [9, 9], depthwise(8, [7, 7])),
        of("depthwise 1x3", [5, 6], depthwise(8, [1, 3])),
        of("depthwise 3x1 of one column", [6, 1], depthwise(8, [3, 1])),
        of("depthwise 1x1", [5, 6], depthwise(6, [1, 1])),
        of("depthwise 3x3 with 2 outputs each", [6, 7], Conv2d { out_channels: 12, ..depthwise(6, [3, 3]) }),
        of("depthwise 3x3 with 4 outputs each", [6, 7], Conv2d { out_channels: 16, ..depthwise(4, [3, 3]) }),
    ]
}

/// Every geometry by the kernel that heuristics choose, for one image and for three, and by every kernel that can run it.
pub fn layers(list: &mut List) -> Result<()> {
    for layer in geometries() {
        for tier in list.tiers.clone() {
            for batch in [1, 3] {
                list.add(&with_batch(layer.what, batch), subject(&layer, batch), list.policy(tier), Want::Always)?;
            }
            // Most kernels do not depend on the tier.
            let want = if tier == list.tiers[0] { Want::Preferred } else { Want::NewAndPreferred };
            for preferred in preferences() {
                let mut policy = list.policy(tier);
                policy.preferred = Some(preferred);
                list.add(&with_batch(layer.what, 3), subject(&layer, 3), policy, want)?;
            }
        }
    }
    Ok(())
}

fn with_batch(what: &str, batch: usize) -> String {
    if batch == 1 { what.to_owned() } else { format!("{what}, batch {batch}") }
}

/// Every class of activation behind every kernel, with and without a residual.
pub fn activations(list: &mut List) -> Result<()> {
    let square = |inputs, outputs| Conv2d { bias: true, padding: [1; 4], ..Conv2d::new(inputs, outputs, [3, 3]) };
    // Of few pixels: large register tiles take compilers seconds, and have nothing to do with what comes behind the sums.
    let layers = [
        Layer { what: "3x3 32-32 of 3 pixels", conv: square(32, 32), size: [1, 3] },
        Layer { what: "depthwise 3x3 of 6 pixels", conv: Conv2d { groups: 10, ..square(10, 10) }, size: [2, 3] },
        Layer { what: "3x3 6-9 in 3 groups, 6 pixels", conv: Conv2d { groups: 3, ..square(6, 9) }, size: [2, 3] },
    ];
    for layer in layers {
        for preferred in preferences() {
            for tier in tiers_in_full(list) {
                for (index, activation) in Activation::ALL.into_iter().enumerate() {
                    let residual = index % 2 == 0;
                    let network = network(&layer.conv, layer.size, residual, Some(activation));
                    let subject = Subject::Network { network, mode: Mode::Folded, batch: 1, range: 2.0 };
                    let mut policy = list.policy(tier);
                    policy.preferred = Some(preferred);
                    let tail = if residual { ", residual" } else { "" };
                    let what = format!("{}{tail}, {}", layer.what, activation_name(activation));
                    list.add(&what, subject, policy, Want::NewAndPreferred)?;
                }
            }
        }
    }
    Ok(())
}

pub fn activation_name(activation: Activation) -> String {
    format!("{activation:?}").split([' ', '{']).next().unwrap_or_default().to_lowercase()
}

/// Both tiers in single precision, the adapter's own in half: what differs between tiers has nothing to do with precisions.
fn tiers_in_full(list: &List) -> Vec<Tier> {
    if list.precision == Precision::F32 { list.tiers.clone() } else { vec![list.tiers[0]] }
}

/// Every configuration that autotuning times of some layers, as far as its shaders are not run otherwise.
pub fn tiles(list: &mut List) -> Result<()> {
    const LAYERS: [&str; 6] =
        ["1x1 64-64", "1x1 96-40 of few pixels", "3x3 64-64", "3x3 5-7", "3x3 64-64 in 2 groups", "depthwise 3x3"];
    // What is stored in half precision is read alike by all tiles.
    if list.precision == Precision::F16Storage {
        return Ok(());
    }
    for layer in geometries().iter().filter(|layer| LAYERS.contains(&layer.what)) {
        for tier in tiers_in_full(list) {
            let subject = subject(layer, 1);
            let Subject::Network { network, .. } = &subject else { continue };
            let plan = Plan::new(&random_model(network, SEED)?, Mode::Folded)?;
            // Padding that is no zeros is a step of its own.
            let [Step::Conv(step)] = plan.steps() else { continue };
            let [_, _, height, width] = plan.value(step.output).shape;
            for config in search_space(&plan, &list.policy(tier)) {
                let mut policy = list.policy(tier);
                policy.tuning.insert(&layer_name(&step.conv, [height, width]), config);
                list.add(layer.what, subject.clone(), policy, Want::NewShaders)?;
            }
        }
    }
    Ok(())
}

fn layer_name(conv: &Conv2d, output: [usize; 2]) -> String {
    layer(conv, output)
}

/// Every geometry, and every activation behind a convolution.
pub fn plain() -> Vec<(String, Subject)> {
    let mut subjects: Vec<_> =
        geometries().iter().map(|layer| (with_batch(layer.what, 3), subject(layer, 3))).collect();
    let conv = Conv2d { bias: true, padding: [1; 4], ..Conv2d::new(8, 12, [3, 3]) };
    for activation in Activation::ALL {
        let network = network(&conv, [6, 7], true, Some(activation));
        let what = format!("3x3 8-12, residual, {}", activation_name(activation));
        subjects.push((what, Subject::Network { network, mode: Mode::Folded, batch: 1, range: 2.0 }));
    }
    subjects
}
