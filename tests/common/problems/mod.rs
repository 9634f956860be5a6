//! One generator of random problems per operator, and one for whole graphs.

mod conv;
mod elementwise;
mod graphs;
mod layout_ops;
pub mod pairs;
mod pool;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::problem::Problem;
use doconv::Network;

/// Makes the generator of a family.
pub type Family = fn() -> BoxedStrategy<Problem>;

/// Every family there is.
pub const FAMILIES: &[(&str, Family)] = &[
    ("conv2d", conv::plain),
    ("doconv", conv::doconv),
    ("transposed", conv::transposed),
    ("pool", pool::windows),
    ("global_pool", pool::global),
    ("binary", elementwise::binary),
    ("concat", elementwise::concat),
    ("activation", elementwise::activation),
    ("batch_norm", elementwise::batch_norm),
    ("softmax", elementwise::softmax),
    ("lrn", elementwise::lrn),
    ("rearrange", layout_ops::rearrange),
    ("pad", layout_ops::pad),
    ("resize", layout_ops::resize),
    ("flatten", elementwise::flatten),
    ("linear", elementwise::linear),
    ("blocks", graphs::blocks),
    ("random_graph", graphs::random),
    ("pairs", pairs::random),
    ("items", graphs::items),
];

/// Networks with a seed and a batch size of 1 to 3.
fn with_numbers(networks: impl Strategy<Value = Network> + 'static) -> BoxedStrategy<Problem> {
    (networks, any::<u64>(), 1usize..=3).prop_map(|(network, seed, batch)| Problem::new(network, seed, batch)).boxed()
}

/// Mostly odd and small channel counts, sometimes larger ones.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1usize..=12, 3 => 13usize..=40, 1 => 64usize..=96]
}

/// Any activation, or none.
fn maybe_activation() -> impl Strategy<Value = Option<doconv::network::Activation>> {
    proptest::option::of(any_activation())
}

fn any_activation() -> impl Strategy<Value = doconv::network::Activation> {
    proptest::sample::select(doconv::network::Activation::ALL.to_vec())
}
