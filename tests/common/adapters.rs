//! What there is to run layers on.

use doconv::gpu::policy::Tier;
use doconv::{Adapter, Selector};
use pollster::block_on;

/// Every adapter, GPUs once with the kernels of either tier.
pub fn adapters() -> Vec<(String, Adapter)> {
    let mut adapters = vec![];
    for (index, info) in block_on(Adapter::list()).iter().enumerate() {
        let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        if adapter.gpu().is_none() {
            adapters.push((info.name.clone(), adapter));
            continue;
        }
        for tier in [Tier::Software, Tier::Hardware] {
            let adapter = adapter.clone().with_device(|device| device.set_tier(tier));
            adapters.push((format!("{} ({tier:?})", info.name), adapter));
        }
    }
    adapters
}
