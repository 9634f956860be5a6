//! Architectures by name, with the parameter names their checkpoints use.
//!
//! Names are torchvision's where torchvision has the network. Where the DO-Conv paper's own code (GluonCV) has a network
//! that differs, its structured names (`features.4.0.body.0.weight`) give that network: [`build_for`] tells them apart.
//! The modules of the families say what differs.
//!
//! Every convolution larger than 1×1 is marked as a DO-Conv layer, as the paper replaces them; a plain checkpoint is what
//! such a network is once it is folded.

mod efficientnet_lite;
mod flavour;
mod graph;
mod mnist_sample;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;
mod resnet_cifar;
mod resnet_v2;
mod squeezenet;
mod vgg;

use super::Network;
use crate::{Error, Result, Weights};
use flavour::Flavour;
use resnet::Spec;

/// The names [`build`] knows.
pub const NAMES: [&str; 31] = [
    "plain18",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet18_v1b",
    "resnet34_v1b",
    "resnet50_v1b",
    "resnet101_v1b",
    "resnet152_v1b",
    "resnet18_v2",
    "resnet34_v2",
    "resnet50_v2",
    "resnet101_v2",
    "resnet152_v2",
    "resnext50_32x4d",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "vgg16",
    "squeezenet1_1",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "mnist_sample",
];

/// Describes a network by its name, with its primary parameter names.
///
/// # Errors
/// [`Error::UnknownArchitecture`] with the list of names if `name` is none of them.
pub fn build(name: &str) -> Result<Network> {
    Ok(variants(name)?.swap_remove(0))
}

/// Describes a network by its name, with the parameter names that most of these weights have.
///
/// # Errors
/// Those of [`build`].
pub fn build_for(name: &str, weights: &Weights) -> Result<Network> {
    let known = |network: &Network| {
        let layers = network.nodes.iter().map(|node| node.name.as_str());
        let layers: std::collections::HashSet<&str> = layers.collect();
        weights.keys().filter(|name| name.rsplit_once('.').is_some_and(|(layer, _)| layers.contains(layer))).count()
    };
    let mut variants = variants(name)?;
    // The last of equals would win, and the primary names are to.
    variants.reverse();
    let best = variants.into_iter().max_by_key(known);
    best.ok_or_else(|| unknown(name))
}

/// The names of all networks that these weights fit: every parameter there, none left over, all of the right shape.
///
/// ```
/// use doconv::network::zoo;
///
/// let parameters = zoo::build("resnet50")?.parameters();
/// let weights = parameters.into_iter().map(|(name, shape)| (name, doconv::Tensor::zeros(shape))).collect();
/// assert_eq!(zoo::fitting(&weights), ["resnet50", "resnet50_v1b"]);
/// # Ok::<(), doconv::Error>(())
/// ```
pub fn fitting(weights: &Weights) -> Vec<&'static str> {
    let fits = |name: &&str| variants(name).is_ok_and(|variants| variants.iter().any(|network| network.fits(weights)));
    NAMES.into_iter().filter(fits).collect()
}

/// A network under each of the namings that its checkpoints use, the primary one first.
///
/// # Errors
/// Those of [`build`].
pub fn variants(name: &str) -> Result<Vec<Network>> {
    let both = |build: &dyn Fn(Flavour) -> Network| Ok([Flavour::Torch, Flavour::Gluon].map(build).into());
    if let Some(depth) = depth(name, "") {
        return match depth {
            20 | 32 | 44 | 56 => both(&|flavour| resnet_cifar::build(name, depth, flavour)),
            _ => both(&|flavour| {
                let stride_first = flavour == Flavour::Gluon && resnet::has_bottlenecks(depth);
                resnet::build(name, Spec { stride_first, ..Spec::new(depth) }, flavour)
            }),
        };
    }
    if let Some(depth) = depth(name, "_v1b") {
        return Ok(vec![resnet::build(name, Spec::new(depth), Flavour::Torch)]);
    }
    if let Some(depth) = depth(name, "_v2") {
        return both(&|flavour| resnet_v2::build(name, depth, flavour));
    }
    match name {
        "plain18" => both(&|flavour| resnet::build(name, Spec { shortcuts: false, ..Spec::new(18) }, flavour)),
        "resnext50_32x4d" => {
            both(&|flavour| resnet::build(name, Spec { groups: 32, group_width: 4, ..Spec::new(50) }, flavour))
        }
        "mobilenet_v1" => both(&|flavour| mobilenet_v1::build(name, flavour)),
        "mobilenet_v2" => both(&|flavour| mobilenet_v2::build(name, flavour)),
        "mobilenet_v3_small" => both(&|flavour| mobilenet_v3::build(name, false, flavour)),
        "mobilenet_v3_large" => both(&|flavour| mobilenet_v3::build(name, true, flavour)),
        "vgg16" => both(&|flavour| vgg::vgg16(name, flavour)),
        "squeezenet1_1" => both(&|flavour| squeezenet::squeezenet1_1(name, flavour)),
        "efficientnet_lite0" => Ok(vec![efficientnet_lite::build(name, 1.0, 1.0, 224)]),
        "efficientnet_lite1" => Ok(vec![efficientnet_lite::build(name, 1.0, 1.1, 240)]),
        "efficientnet_lite2" => Ok(vec![efficientnet_lite::build(name, 1.1, 1.2, 260)]),
        "mnist_sample" => {
            Ok([["conv1", "conv2", "conv3"], ["0", "2", "4"]].map(|layers| mnist_sample::build(name, layers)).into())
        }
        _ => Err(unknown(name)),
    }
}

/// The depth in `resnet50` and this suffix, if there is such a network.
fn depth(name: &str, suffix: &str) -> Option<usize> {
    let depth = name.strip_prefix("resnet")?.strip_suffix(suffix)?;
    if NAMES.contains(&name) { depth.parse().ok() } else { None }
}

fn unknown(name: &str) -> Error {
    Error::UnknownArchitecture { name: name.into(), known: NAMES.to_vec() }
}
