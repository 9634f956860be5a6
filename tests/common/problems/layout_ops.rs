//! Layout operators and resizing.

use doconv::network::{Coordinates, Interpolation, Op, Pad, PaddingMode, Resize, Rounding, Slice};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::super::graph::Graph;
use super::super::problem::Problem;
use super::{channels, with_numbers};

fn shape() -> impl Strategy<Value = [usize; 4]> {
    let items = prop_oneof![2 => Just(1usize), 1 => 2usize..=4];
    (items, channels(), 1usize..=7, 1usize..=7)
        .prop_map(|(items, channels, height, width)| [items, channels, height, width])
}

fn single(shape: [usize; 4], op: Op) -> Option<doconv::Network> {
    let mut graph = Graph::of_items(shape);
    let value = graph.try_add(op, &["input"])?;
    Some(graph.finish(&[&value]))
}

/// Reshaping, transposing and slicing, one after the other.
pub fn rearrange() -> BoxedStrategy<Problem> {
    let order = Just(vec![0usize, 1, 2, 3]).prop_shuffle();
    let networks = (shape(), order, any::<[u8; 8]>(), 1usize..=3).prop_map(|(shape, order, numbers, count)| {
        let mut graph = Graph::of_items(shape);
        let mut value = "input".to_string();
        let axes: [usize; 4] = order.try_into().expect("four axes");
        for step in 0..count {
            let from = graph.shape(&value);
            let op = match (numbers[7] as usize + step) % 3 {
                0 => Op::Transpose(axes),
                // The same extents in another order.
                1 => Op::Reshape(axes.map(|axis| from[axis])),
                _ => {
                    let mut slice = Slice { start: [0; 4], step: [1; 4], count: from };
                    for axis in 0..4 {
                        let (extent, number) = (from[axis], numbers[axis] as usize);
                        let step = 1 + number % 3;
                        slice.start[axis] = number / 3 % extent;
                        slice.count[axis] =
                            1 + numbers[axis + 3] as usize % (extent - slice.start[axis]).div_ceil(step);
                        slice.step[axis] = step as isize;
                        if number >= 128 {
                            // Backwards from the last one.
                            slice.start[axis] += (slice.count[axis] - 1) * step;
                            slice.step[axis] = -slice.step[axis];
                        }
                    }
                    Op::Slice(slice)
                }
            };
            value = graph.add(op, &[&value]);
        }
        graph.finish(&[&value])
    });
    with_numbers(networks)
}

/// Every padding mode, along all axes.
pub fn pad() -> BoxedStrategy<Problem> {
    let mode = proptest::sample::select(PaddingMode::ALL.to_vec());
    let some = || {
        prop_oneof![
            2 => [0usize..=0, 0usize..=0, 0usize..=4, 0usize..=4],
            1 => [0usize..=2, 0usize..=3, 0usize..=4, 0usize..=4],
        ]
    };
    let networks =
        (shape(), mode, some(), some(), -2.0f32..2.0).prop_map(|(shape, mode, mut before, mut after, value)| {
            for axis in 0..4 {
                let most = match mode {
                    PaddingMode::Zeros | PaddingMode::Replicate => usize::MAX,
                    PaddingMode::Reflect => shape[axis] - 1,
                    PaddingMode::Circular => shape[axis],
                };
                before[axis] = before[axis].min(most);
                after[axis] = after[axis].min(most);
            }
            let value = if mode == PaddingMode::Zeros { value } else { 0.0 };
            single(shape, Op::Pad(Pad { before, after, mode, value })).expect("a padding that fits")
        });
    with_numbers(networks)
}

/// Every interpolation with every rule for coordinates, up and down.
pub fn resize() -> BoxedStrategy<Problem> {
    let interpolation = proptest::sample::select(vec![
        Interpolation::Nearest(Rounding::HalfDown),
        Interpolation::Nearest(Rounding::HalfUp),
        Interpolation::Nearest(Rounding::Floor),
        Interpolation::Nearest(Rounding::Ceil),
        Interpolation::Linear,
        Interpolation::Cubic(-0.75),
        Interpolation::Cubic(-0.5),
    ]);
    let coordinates = proptest::sample::select(vec![
        Coordinates::HalfPixel,
        Coordinates::HalfPixelSymmetric,
        Coordinates::PytorchHalfPixel,
        Coordinates::AlignCorners,
        Coordinates::Asymmetric,
    ]);
    let size = [1usize..=15, 1usize..=15];
    let scale = proptest::option::of([0.4f64..2.5, 0.4f64..2.5]);
    let networks = (shape(), size, interpolation, coordinates, scale).prop_map(
        |(shape, size, interpolation, coordinates, scale)| {
            single(shape, Op::Resize(Resize { size, scale, interpolation, coordinates })).expect("any size")
        },
    );
    with_numbers(networks)
}
