//! DO-Conv layers: kernels composed once and for every run, and feature composition.

use super::conv::{activation_name, network};
use crate::Result;
use crate::network::{Activation, Conv2d, DoConv, Pairing};
use crate::plan::Mode;
use crate::verification::case::Subject;
use crate::verification::list::{List, Want};

/// Layers with W and D: all that composing and feature composition are specialised by.
fn layers() -> Vec<(String, Conv2d)> {
    let mut layers = vec![];
    // Taps in blocks of 5, 4, 3, 7 and 2, and one by one; outputs in fours and singly.
    let kernels = [([3, 3], 9), ([5, 5], 25), ([2, 2], 5), ([7, 7], 49), ([1, 2], 2), ([1, 11], 11), ([3, 3], 12)];
    for (kernel, d_mul) in kernels {
        for pairing in [Pairing::Paper, Pairing::Torch] {
            for (inputs, outputs, groups) in [(5, 8, 1), (3, 6, 1), (8, 16, 2), (6, 6, 6), (1, 4, 1), (2, 20, 1)] {
                let doconv = Some(DoConv { d_mul, pairing });
                let [y, x] = [kernel[0] / 2, kernel[1] / 2];
                let conv = Conv2d {
                    groups,
                    bias: true,
                    doconv,
                    padding: [y, x, y, x],
                    ..Conv2d::new(inputs, outputs, kernel)
                };
                let rule = if pairing == Pairing::Paper { "paper" } else { "torch" };
                let name = format!("DO-Conv {}x{} {inputs}-{outputs}, S {d_mul}, {rule}", kernel[0], kernel[1]);
                let name = if groups > 1 { format!("{name}, {groups} groups") } else { name };
                layers.push((name, conv));
            }
        }
    }
    layers
}

/// Whether feature composition can express a layer's pairing.
fn has_feature_form(conv: &Conv2d) -> bool {
    let torch = conv.doconv.is_some_and(|doconv| doconv.pairing == Pairing::Torch);
    !torch || conv.groups == 1 || conv.groups == conv.out_channels
}

pub fn subjects() -> Vec<(String, Subject)> {
    let mut subjects = vec![];
    for (name, conv) in layers() {
        for mode in Mode::ALL {
            if mode != Mode::Feature || has_feature_form(&conv) {
                let network = network(&conv, [6, 12], false, None);
                let what = format!("{name}, mode {}", mode.name());
                subjects.push((what, Subject::Network { network, mode, batch: 2, range: 2.0 }));
            }
        }
    }
    subjects
}

pub fn all(list: &mut List) -> Result<()> {
    let (usual, other) = (list.tiers[0], list.tiers[1]);
    for (what, subject) in subjects() {
        list.add(&what, subject.clone(), list.policy(usual), Want::NewShaders)?;
        list.add(&what, subject, list.policy(other), Want::NewShaders)?;
    }
    for mode in Mode::ALL {
        // Of the usual layer, always, and with its kernel transformed.
        let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
        let conv = Conv2d { bias: true, padding: [1; 4], doconv, ..Conv2d::new(16, 24, [3, 3]) };
        for preferred in [None, Some("winograd_f2"), Some("winograd_f4")] {
            for tier in list.tiers.clone() {
                let mut policy = list.policy(tier);
                policy.preferred = preferred;
                let network = network(&conv, [7, 9], true, Some(Activation::Relu));
                let subject = Subject::Network { network, mode, batch: 3, range: 2.0 };
                let what = format!("DO-Conv 3x3 16-24, residual, relu, batch 3, mode {}", mode.name());
                let want = if preferred.is_none() { Want::Always } else { Want::Preferred };
                list.add(&what, subject, policy, want)?;
            }
        }
    }
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let conv = Conv2d { bias: true, padding: [1; 4], doconv, ..Conv2d::new(4, 16, [3, 3]) };
    for activation in Activation::ALL {
        let network = network(&conv, [5, 6], true, Some(activation));
        let subject = Subject::Network { network, mode: Mode::Feature, batch: 1, range: 2.0 };
        let what = format!("DO-Conv 3x3 4-16, residual, {}, mode feature", activation_name(activation));
        list.add(&what, subject, list.policy(usual), Want::NewShaders)?;
    }
    // One pixel, for tiles of one.
    for outputs in [4, 8, 16] {
        let conv = Conv2d { padding: [0; 4], out_channels: outputs, ..conv.clone() };
        let subject = Subject::Network {
            network: network(&conv, [3, 3], false, None),
            mode: Mode::Feature,
            batch: 1,
            range: 2.0,
        };
        let what = format!("DO-Conv 3x3 4-{outputs} of one pixel, mode feature");
        list.add(&what, subject, list.policy(usual), Want::NewShaders)?;
    }
    Ok(())
}
