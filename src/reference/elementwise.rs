//! Operators that look at one pixel at a time.

use super::Map;
use crate::network::{Activation, Lrn, Op};

/// An activation of a single number.
pub(super) fn activate(function: Activation, x: f64) -> f64 {
    match function {
        // NaN stays NaN; of crossed bounds the upper one wins.
        Activation::Relu if x < 0.0 => 0.0,
        Activation::Relu => x,
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Clip { max: Some(max), .. } if x > f64::from(max) => f64::from(max),
        Activation::Clip { min: Some(min), max } if x < f64::from(min) => {
            f64::from(max.map_or(min, |max| min.min(max)))
        }
        Activation::Clip { .. } => x,
        Activation::LeakyRelu { slope } => {
            if x < 0.0 {
                x * f64::from(slope)
            } else {
                x
            }
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Ramp { slope, offset } => (x * f64::from(slope) + f64::from(offset)).clamp(0.0, 1.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

/// The larger one of two numbers: NaN where either is.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// An element-wise function.
pub fn activation(function: Activation, input: &Map) -> Map {
    input.map(|x| activate(function, x))
}

/// Batch normalisation with running statistics: `(x − mean) / √(variance + eps) · weight + bias` per channel.
pub fn batch_norm(input: &Map, weight: &[f64], bias: &[f64], mean: &[f64], variance: &[f64], eps: f64) -> Map {
    Map::from_fn(input.shape, |n, c, y, x| {
        (input.at(n, c, y, x) - mean[c]) / (variance[c] + eps).sqrt() * weight[c] + bias[c]
    })
}

/// `function(a, b)` where either may have the extent 1 along an axis and is then repeated along it; along the first,
/// within every element of a batch.
pub(super) fn broadcast(batch: usize, a: &Map, b: &Map, function: impl Fn(f64, f64) -> f64) -> Map {
    let items = [a.shape[0] / batch, b.shape[0] / batch];
    let most = items[0].max(items[1]);
    let extent = |axis: usize| a.shape[axis].max(b.shape[axis]);
    let at = |map: &Map, items: usize, n: usize, c: usize, y: usize, x: usize| {
        let limit = |index: usize, axis: usize| index.min(map.shape[axis] - 1);
        map.at(n / most * items + (n % most).min(items - 1), limit(c, 1), limit(y, 2), limit(x, 3))
    };
    Map::from_fn([batch * most, extent(1), extent(2), extent(3)], |n, c, y, x| {
        function(at(a, items[0], n, c, y, x), at(b, items[1], n, c, y, x))
    })
}

/// An element-wise function of two maps: [`Op::Add`](crate::network::Op::Add) and its kin.
pub fn binary(op: &Op, batch: usize, a: &Map, b: &Map) -> Map {
    match op {
        Op::Sub => broadcast(batch, a, b, |a, b| a - b),
        Op::Mul => broadcast(batch, a, b, |a, b| a * b),
        Op::Div => broadcast(batch, a, b, |a, b| a / b),
        Op::Prelu => broadcast(batch, a, b, |a, b| if a < 0.0 { a * b } else { a }),
        _ => broadcast(batch, a, b, |a, b| a + b),
    }
}

/// The channels of all maps, one after the other.
pub fn concat(inputs: &[&Map]) -> Map {
    let [batch, _, height, width] = inputs[0].shape;
    let channels = inputs.iter().map(|input| input.shape[1]).sum();
    Map::from_fn([batch, channels, height, width], |n, mut c, y, x| {
        for input in inputs {
            if c < input.shape[1] {
                return input.at(n, c, y, x);
            }
            c -= input.shape[1];
        }
        unreachable!("the channels are those of the inputs")
    })
}

/// All channels and pixels as channels of a 1×1 map.
pub fn flatten(input: &Map) -> Map {
    let [batch, channels, height, width] = input.shape;
    Map { shape: [batch, channels * height * width, 1, 1], data: input.data.clone() }
}

/// `exp(x) / Σ exp(x)` over the channels of every pixel: NaN for all of them where one is NaN or ∞, or all are −∞.
pub fn softmax(input: &Map) -> Map {
    let channels = input.shape[1];
    Map::from_fn(input.shape, |n, c, y, x| {
        let largest = (0..channels).map(|k| input.at(n, k, y, x)).fold(f64::NEG_INFINITY, larger);
        let sum: f64 = (0..channels).map(|k| (input.at(n, k, y, x) - largest).exp()).sum();
        (input.at(n, c, y, x) - largest).exp() / sum
    })
}

/// `x − log Σ exp(x)` over the channels of every pixel.
pub fn log_softmax(input: &Map) -> Map {
    let channels = input.shape[1];
    Map::from_fn(input.shape, |n, c, y, x| {
        let largest = (0..channels).map(|k| input.at(n, k, y, x)).fold(f64::NEG_INFINITY, larger);
        let sum: f64 = (0..channels).map(|k| (input.at(n, k, y, x) - largest).exp()).sum();
        input.at(n, c, y, x) - largest - sum.ln()
    })
}

/// `k + alpha / size · Σ x²` over the channels around every one.
pub(super) fn lrn_base(lrn: &Lrn, input: &Map) -> Map {
    let before = (lrn.size - 1) / 2;
    Map::from_fn(input.shape, |n, c, y, x| {
        let window = c.saturating_sub(before)..(c + lrn.size - before).min(input.shape[1]);
        let squares: f64 = window.map(|k| input.at(n, k, y, x).powi(2)).sum();
        f64::from(lrn.k) + f64::from(lrn.alpha) / lrn.size as f64 * squares
    })
}

/// Local response normalisation.
pub fn lrn(lrn: &Lrn, input: &Map) -> Map {
    input.zip(&lrn_base(lrn, input), |x, base| x / base.powf(f64::from(lrn.beta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_at_telling_points() {
        let expected = [
            (Activation::Relu, [0.0, 0.0, 7.0]),
            (Activation::Relu6, [0.0, 0.0, 6.0]),
            (Activation::Clip { min: Some(-0.5), max: None }, [-0.5, 0.0, 7.0]),
            (Activation::Clip { min: Some(3.0), max: Some(1.0) }, [1.0, 1.0, 1.0]),
            (Activation::Clip { min: None, max: Some(0.5) }, [-1.0, 0.0, 0.5]),
            (Activation::LeakyRelu { slope: 0.25 }, [-0.25, 0.0, 7.0]),
            (Activation::Ramp { slope: 0.25, offset: 0.5 }, [0.25, 0.5, 1.0]),
            (Activation::Tanh, [-0.761_594_155_955_764_9, 0.0, 0.999_998_336_943_944_7]),
            (Activation::HardSwish, [-1.0 / 3.0, 0.0, 7.0]),
            (Activation::HardSigmoid, [1.0 / 3.0, 0.5, 1.0]),
            (Activation::Sigmoid, [0.268_941_421_369_995_1, 0.5, 0.999_088_948_805_599_4]),
            (Activation::Silu, [-0.268_941_421_369_995_1, 0.0, 6.993_622_641_639_196]),
        ];
        for (function, values) in expected {
            for (x, want) in [-1.0, 0.0, 7.0].into_iter().zip(values) {
                assert!((activate(function, x) - want).abs() < 1e-14, "{function:?}({x})");
            }
        }
    }

    #[test]
    fn softmax_of_large_logits_is_finite() {
        let logits = Map { shape: [1, 3, 1, 1], data: vec![1000.0, 1000.0, -1000.0] };
        assert_eq!(softmax(&logits).data, [0.5, 0.5, 0.0]);
    }
}
