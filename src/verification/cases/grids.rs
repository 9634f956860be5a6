//! Grids with more workgroups along an axis than WebGPU dispatches at a time.

use super::conv::network;
use crate::Result;
use crate::gpu::policy::{KernelConfig, Policy, Tile, layer};
use crate::network::{Activation, Conv2d, MaxPool, Network, Op};
use crate::plan::Mode;
use crate::verification::case::Subject;
use crate::verification::graph::single;
use crate::verification::list::{List, Want};

/// One slice of channels more than there may be workgroups.
const CHANNELS: usize = 4 * 65_536;
/// So many rows and columns have more pixels than that.
const SIDE: usize = 257;

pub fn all(list: &mut List) -> Result<()> {
    let policy = list.own_policy();
    let mut add = |what: &str, network: Network, policy: Policy| {
        let subject = Subject::Network { network, mode: Mode::Folded, batch: 1, range: 2.0 };
        list.add(&format!("{what}, more than 65535 workgroups"), subject, policy, Want::Always)
    };
    add("softmax", single([1, 2, SIDE, SIDE], Op::Softmax), policy.clone())?;
    add("relu", single([1, CHANNELS, 1, 1], Op::Activation(Activation::Relu)), policy.clone())?;
    let pool = MaxPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4], dilation: [1, 1], ceil_mode: false };
    add("max pool", single([1, CHANNELS, 2, 2], Op::MaxPool(pool)), policy.clone())?;
    let wide = Conv2d { groups: CHANNELS / 2, ..Conv2d::new(CHANNELS / 2, CHANNELS, [1, 1]) };
    add("1x1 with 2 outputs each", network(&wide, [1, 1], false, None), policy.clone())?;
    // One invocation along pixels.
    let conv = Conv2d::new(4, 4, [1, 1]);
    let tile = Tile { pixels: 1, slices: 1, workgroup: [1, 32], parts: 1 };
    let mut tuned = policy;
    tuned.tuning.insert(&layer(&conv, [SIDE; 2]), KernelConfig { winograd: None, kernel: "direct", tile });
    add("1x1 4-4", network(&conv, [SIDE; 2], false, None), tuned)
}
