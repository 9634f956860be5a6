//! Pools of all geometries.

use doconv::network::{AvgPool, MaxPool, Op};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{channels, with_numbers};

/// Maximum and mean over windows.
pub fn windows() -> BoxedStrategy<Problem> {
    let geometry =
        ([1usize..=5, 1usize..=5], [1usize..=4, 1usize..=4], [0usize..=4, 0usize..=4, 0usize..=4, 0usize..=4]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), [1usize..=3, 1usize..=3]);
    let size = [1usize..=20, 1usize..=20];
    let networks = (geometry, flags, channels(), size).prop_filter_map(
        "a window that does not fit",
        |((kernel, stride, mut padding), (max, ceil_mode, count_include_pad, dilation), channels, size)| {
            for side in 0..4 {
                padding[side] = padding[side].min((kernel[side % 2] - 1) * dilation[side % 2]);
            }
            let mut graph = Graph::new([channels, size[0], size[1]]);
            let pool = if max {
                Op::MaxPool(MaxPool { kernel, stride, padding, dilation, ceil_mode })
            } else {
                Op::AvgPool(AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad })
            };
            let value = graph.try_add(pool, &["input"])?;
            Some(graph.finish(&[&value]))
        },
    );
    with_numbers(networks)
}

/// Maximum and mean over whole maps.
pub fn global() -> BoxedStrategy<Problem> {
    let networks = (channels(), 1usize..=20, 1usize..=20, any::<bool>()).prop_map(|(channels, height, width, max)| {
        let mut graph = Graph::new([channels, height, width]);
        let value = graph.add(if max { Op::GlobalMaxPool } else { Op::GlobalAvgPool }, &["input"]);
        graph.finish(&[&value])
    });
    with_numbers(networks)
}
