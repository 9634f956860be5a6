//! Random initialisation of parameters.

use std::collections::HashMap;

use oorandom::Rand64;

use crate::network::{Node, Op};
use crate::{Model, Network, Result, Tensor, Weights};

impl Model {
    /// A network with random weights. Convolutions without a bias, which batch norms follow, are initialised as in torchvision's
    /// residual networks: normally distributed with a standard deviation of `√(2 / fan_out)` (He et al., 2015), where fan-out is
    /// the number of sums that an input is a part of, those of its own group (PyTorch counts those of all groups). All other kernels are uniform in `±1/√fan_in`, where fan-in is the number of
    /// products in a sum, and so are the biases of their layers: what PyTorch does by itself. Batch norms change nothing.
    ///
    /// It has no W and D: [`Model::expand`] makes these without changing the function.
    ///
    /// The same seed gives the same weights everywhere.
    ///
    /// # Errors
    /// [`crate::Error::Network`] if the description is broken.
    pub fn initialised(network: Network, seed: u64) -> Result<Self> {
        let mut random = Rand64::new(u128::from(seed));
        // Of the convolutions without a bias, how many sums an input is a part of.
        let fan_out = |node: &Node| match &node.op {
            Op::Conv2d(conv) if !conv.bias => {
                Some((format!("{}.weight", node.name), (conv.outputs_per_group() * conv.taps()) as f64))
            }
            _ => None,
        };
        let fan_out: HashMap<String, f64> = network.nodes.iter().filter_map(fan_out).collect();
        let mut weights = Weights::new();
        let mut bound = 0.0;
        for (name, shape) in network.parameters() {
            let mut uniform = |bound: f64| {
                let count = shape.iter().product();
                (0..count).map(|_| ((2.0 * random.rand_float() - 1.0) * bound) as f32).collect::<Vec<f32>>()
            };
            let constant = |value: f32| vec![value; shape.iter().product()];
            if let Some(fan_out) = fan_out.get(&name) {
                let count = shape.iter().product();
                let values = (0..count).map(|_| (normal(&mut random) * (2.0 / fan_out).sqrt()) as f32).collect();
                weights.insert(name, Tensor::new(shape, values)?);
                continue;
            }
            let values = match (name.rsplit('.').next(), shape.len()) {
                // Of kernels and matrices; a bias comes right behind the weight of its layer.
                (Some("weight"), 2..) => {
                    bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
                    uniform(bound)
                }
                (Some("weight"), _) => {
                    bound = 0.0;
                    constant(1.0)
                }
                (Some("running_var"), _) => constant(1.0),
                (Some("bias"), _) => uniform(bound),
                _ => constant(0.0),
            };
            weights.insert(name, Tensor::new(shape, values)?);
        }
        Self::new(network, weights)
    }
}

/// Standard normal, by the method of Box and Muller.
fn normal(random: &mut Rand64) -> f64 {
    // Not 0, whose logarithm is infinite.
    let radius = (-2.0 * (1.0 - random.rand_float()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.rand_float()).cos()
}

#[cfg(test)]
mod tests {
    use crate::Model;
    use crate::network::zoo;

    #[test]
    fn weights_are_as_pytorch_draws_them() {
        let model = Model::initialised(zoo::build("resnet20").unwrap(), 1).unwrap();
        let values = |name: &str| model.weights()[name].data();
        let kernel = values("layer3.1.conv1.weight");
        let variance = kernel.iter().map(|value| value * value).sum::<f32>() / kernel.len() as f32;
        assert!((variance * 64.0 * 9.0 / 2.0 - 1.0).abs() < 0.02, "{variance}");
        let sample = Model::initialised(zoo::build("mnist_sample").unwrap(), 1).unwrap();
        let (kernel, bound) = (sample.weights()["conv2.weight"].data(), 1.0 / (16.0f32 * 9.0).sqrt());
        assert!(kernel.iter().all(|value| value.abs() <= bound));
        let variance = kernel.iter().map(|value| value * value).sum::<f32>() / kernel.len() as f32;
        assert!((variance * 3.0 / (bound * bound) - 1.0).abs() < 0.05, "{variance}");
        assert!(values("linear.bias").iter().any(|&value| value != 0.0));
        assert!(values("linear.bias").iter().all(|value| value.abs() <= 1.0 / 8.0));
        assert_eq!(values("bn1.weight")[0], 1.0);
        assert_eq!(values("bn1.bias")[0], 0.0);
        let again = Model::initialised(zoo::build("resnet20").unwrap(), 1).unwrap();
        assert_eq!(again.weights(), model.weights());
        let other = Model::initialised(zoo::build("resnet20").unwrap(), 2).unwrap();
        assert_ne!(other.weights()["conv1.weight"], model.weights()["conv1.weight"]);
    }
}
