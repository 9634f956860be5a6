//! Operators that look at one pixel at a time.

use super::Map;
use crate::network::Activation;

/// An activation of a single number.
pub(super) fn activate(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
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

/// `function(a, b)` where either may be 1×1 and is then repeated over the pixels of the other.
pub(super) fn broadcast(a: &Map, b: &Map, function: impl Fn(f64, f64) -> f64) -> Map {
    let [batch, channels, height, width] = a.shape;
    let shape = [batch, channels, height.max(b.shape[2]), width.max(b.shape[3])];
    let at = |map: &Map, n: usize, c: usize, y: usize, x: usize| {
        if map.shape[2..] == [1, 1] { map.at(n, c, 0, 0) } else { map.at(n, c, y, x) }
    };
    Map::from_fn(shape, |n, c, y, x| function(at(a, n, c, y, x), at(b, n, c, y, x)))
}

/// The sum of two maps.
pub fn add(a: &Map, b: &Map) -> Map {
    broadcast(a, b, |a, b| a + b)
}

/// The product of two maps.
pub fn mul(a: &Map, b: &Map) -> Map {
    broadcast(a, b, |a, b| a * b)
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

/// `exp(x) / Σ exp(x)` over the channels of every pixel.
pub fn softmax(input: &Map) -> Map {
    let channels = input.shape[1];
    Map::from_fn(input.shape, |n, c, y, x| {
        let largest = (0..channels).map(|k| input.at(n, k, y, x)).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..channels).map(|k| (input.at(n, k, y, x) - largest).exp()).sum();
        (input.at(n, c, y, x) - largest).exp() / sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_at_telling_points() {
        let expected = [
            (Activation::Relu, [0.0, 0.0, 7.0]),
            (Activation::Relu6, [0.0, 0.0, 6.0]),
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
