//! Batch normalisations absorbed by the convolutions before them.

use std::collections::HashMap;

use super::{Model, Weights};
use crate::network::{BatchNorm, Node, Op};
use crate::{Error, Result, Tensor};

/// A batch normalisation as it is used for inference: `x · scale + shift` per channel.
pub(crate) struct Affine {
    /// `weight / √(running_var + eps)`.
    pub scale: Vec<f64>,
    /// `bias − running_mean · scale`.
    pub shift: Vec<f64>,
}

impl Affine {
    /// # Errors
    /// [`Error::Weight`] if a parameter is missing or mis-shaped, or a variance plus `eps` is not positive.
    pub fn of(name: &str, norm: &BatchNorm, weights: &Weights) -> Result<Self> {
        let part = |part: &str| super::tensor(weights, &format!("{name}.{part}"), &[norm.channels]);
        let [gamma, beta, mean, variance] = BatchNorm::PARAMETERS.map(part);
        let (gamma, beta, mean, variance) = (gamma?.data(), beta?.data(), mean?.data(), variance?.data());
        if let Some(at) = variance.iter().position(|&variance| f64::from(variance) + norm.eps <= 0.0) {
            return Err(Error::weight(
                format!("{name}.running_var"),
                format!("value {at} is {}, and with eps {} that has no inverse square root", variance[at], norm.eps),
            ));
        }
        let scale: Vec<f64> =
            gamma.iter().zip(variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + norm.eps).sqrt()).collect();
        let shift =
            beta.iter().zip(mean).zip(&scale).map(|((&b, &m), scale)| f64::from(b) - f64::from(m) * scale).collect();
        Ok(Self { scale, shift })
    }
}

impl Model {
    /// The same function with every batch normalisation absorbed that directly follows a convolution whose value
    /// nobody else reads; all others stay.
    ///
    /// The convolution's kernel is scaled by `weight / √(running_var + eps)` per output channel, and its bias takes
    /// the rest. That holds for composed layers too: the folded kernel is linear in every output channel's slice of W,
    /// so W is scaled and D stays. The value now goes by the convolution's name: readers of the normalisation and
    /// outputs of the network are pointed there.
    ///
    /// # Errors
    /// [`Error::Weight`] if a variance plus `eps` is not positive, or a scaled value overflows.
    pub fn fold_batch_norms(&self) -> Result<Self> {
        let mut network = self.network.clone();
        let mut weights = self.weights.clone();
        let mut readers = count_readers(&network.nodes, &network.outputs);
        let mut renamed: HashMap<String, String> = HashMap::new();
        let mut nodes: Vec<Node> = Vec::with_capacity(network.nodes.len());
        let mut convolutions: HashMap<String, usize> = HashMap::new();

        for mut node in std::mem::take(&mut network.nodes) {
            node.inputs.iter_mut().for_each(|input| rename(&renamed, input));
            if let Op::BatchNorm(norm) = &node.op {
                let source = node.inputs[0].clone();
                if let Some(&index) = convolutions.get(&source).filter(|_| readers[&source] == 1) {
                    absorb(&mut nodes[index], &node.name, norm, &mut weights)?;
                    readers.insert(source.clone(), readers.get(&node.name).copied().unwrap_or(0));
                    renamed.insert(node.name, source);
                    continue;
                }
            }
            if let Op::Conv2d(_) = node.op {
                convolutions.insert(node.name.clone(), nodes.len());
            }
            nodes.push(node);
        }
        network.nodes = nodes;
        network.outputs.iter_mut().for_each(|output| rename(&renamed, output));
        Self::new(network, weights)
    }
}

/// How often every value is read, by nodes or as an output.
fn count_readers(nodes: &[Node], outputs: &[String]) -> HashMap<String, usize> {
    let mut readers = HashMap::new();
    for name in nodes.iter().flat_map(|node| &node.inputs).chain(outputs) {
        *readers.entry(name.clone()).or_insert(0) += 1;
    }
    readers
}

fn rename(renamed: &HashMap<String, String>, name: &mut String) {
    if let Some(now) = renamed.get(name) {
        name.clone_from(now);
    }
}

/// Moves a normalisation's parameters into the kernel and bias of the convolution before it.
fn absorb(conv_node: &mut Node, norm_name: &str, norm: &BatchNorm, weights: &mut Weights) -> Result<()> {
    let layer = &conv_node.name;
    let Op::Conv2d(conv) = &mut conv_node.op else { return Ok(()) };
    let affine = Affine::of(norm_name, norm, weights)?;
    for part in BatchNorm::PARAMETERS {
        weights.remove(&format!("{norm_name}.{part}"));
    }

    let kernel_name = [format!("{layer}.weight"), format!("{layer}.W")]
        .into_iter()
        .find(|name| weights.contains_key(name))
        .ok_or_else(|| Error::weight(format!("{layer}.weight"), "missing"))?;
    if let Some(kernel) = weights.get_mut(&kernel_name) {
        let row = kernel.data().len() / affine.scale.len();
        for (row, scale) in kernel.data_mut().chunks_exact_mut(row).zip(&affine.scale) {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
    }

    let bias_name = format!("{layer}.bias");
    let own = weights.remove(&bias_name).filter(|_| conv.bias);
    let bias: Vec<f32> = (0..affine.scale.len())
        .map(|o| {
            let own = own.as_ref().map_or(0.0, |own| f64::from(own.data()[o]));
            (own * affine.scale[o] + affine.shift[o]) as f32
        })
        .collect();
    weights.insert(bias_name, Tensor::new([bias.len()], bias)?);
    conv.bias = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::network::{Conv2d, DoConv, FORMAT_VERSION, Input, Pairing};

    fn node(name: &str, input: &str, op: Op) -> Node {
        Node { name: name.into(), inputs: vec![input.into()], op }
    }

    fn norm(name: &str, input: &str) -> Node {
        node(name, input, Op::BatchNorm(BatchNorm { channels: 2, eps: 1.0 }))
    }

    fn network(nodes: Vec<Node>, outputs: &[&str]) -> Network {
        Network {
            version: FORMAT_VERSION,
            name: "test".into(),
            inputs: vec![Input::new("x", [1, 3, 3])],
            nodes,
            outputs: outputs.iter().map(|&name| name.into()).collect(),
            preprocess: None,
            labels: vec![],
        }
    }

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec()).unwrap()
    }

    fn norm_weights(weights: &mut Weights, name: &str) {
        for (part, values) in
            [("weight", [2.0, 6.0]), ("bias", [0.5, -1.0]), ("running_mean", [1.0, 4.0]), ("running_var", [3.0, 8.0])]
        {
            weights.insert(format!("{name}.{part}"), tensor(&[2], &values));
        }
    }

    fn pointwise() -> Conv2d {
        Conv2d::new(1, 2, [1, 1])
    }

    fn conv_then_norm(bias: bool) -> Model {
        let conv = Conv2d { bias, ..pointwise() };
        let mut weights = Weights::from([("c.weight".into(), tensor(&[2, 1, 1, 1], &[10.0, 20.0]))]);
        if bias {
            weights.insert("c.bias".into(), tensor(&[2], &[7.0, 5.0]));
        }
        norm_weights(&mut weights, "n");
        Model::new(network(vec![node("c", "x", Op::Conv2d(conv)), norm("n", "c")], &["n"]), weights).unwrap()
    }

    #[test]
    fn scales_the_kernel_and_makes_a_bias() {
        // Scales are 2/√4 = 1 and 6/√9 = 2.
        let folded = conv_then_norm(false).fold_batch_norms().unwrap();
        assert_eq!(folded.weights()["c.weight"].data(), [10.0, 40.0]);
        assert_eq!(folded.weights()["c.bias"].data(), [-0.5, -9.0]);
        assert_eq!(folded.weights().len(), 2);
        assert_eq!(folded.network().outputs, ["c"]);
        assert_eq!(folded.network().nodes.len(), 1);
    }

    #[test]
    fn takes_the_bias_that_is_there_into_account() {
        let folded = conv_then_norm(true).fold_batch_norms().unwrap();
        assert_eq!(folded.weights()["c.bias"].data(), [6.5, 1.0]);
    }

    #[test]
    fn two_norms_in_a_row_both_go() {
        let once = conv_then_norm(false);
        let mut network = once.network().clone();
        network.nodes.push(norm("m", "n"));
        network.outputs = vec!["m".into()];
        let mut weights = once.weights().clone();
        norm_weights(&mut weights, "m");
        let folded = Model::new(network, weights).unwrap().fold_batch_norms().unwrap();
        assert_eq!(folded.weights()["c.weight"].data(), [10.0, 80.0]);
        assert_eq!(folded.weights()["c.bias"].data(), [-1.0, -27.0]);
        assert_eq!(folded.network().outputs, ["c"]);
    }

    #[test]
    fn a_norm_stays_when_the_convolution_has_another_reader() {
        let nodes = |extra: Node| vec![node("c", "x", Op::Conv2d(pointwise())), norm("n", "c"), extra];
        let flatten = node("f", "c", Op::Flatten);
        let mut weights = Weights::from([("c.weight".into(), tensor(&[2, 1, 1, 1], &[10.0, 20.0]))]);
        norm_weights(&mut weights, "n");
        for (nodes, outputs) in [(nodes(flatten), vec!["n", "f"]), (nodes(node("f", "n", Op::Flatten)), vec!["f", "c"])]
        {
            let model = Model::new(network(nodes, &outputs), weights.clone()).unwrap();
            let folded = model.fold_batch_norms().unwrap();
            assert_eq!(folded.network(), model.network());
            assert_eq!(folded.weights(), model.weights());
        }
    }

    #[test]
    fn readers_are_pointed_at_the_convolution() {
        let mut nodes = vec![node("c", "x", Op::Conv2d(pointwise())), norm("n", "c"), norm("after", "relu")];
        nodes.insert(2, node("relu", "n", Op::Activation(crate::network::Activation::Relu)));
        nodes.push(Node { name: "sum".into(), inputs: vec!["n".into(), "after".into()], op: Op::Add });
        let mut weights = Weights::from([("c.weight".into(), tensor(&[2, 1, 1, 1], &[10.0, 20.0]))]);
        norm_weights(&mut weights, "n");
        norm_weights(&mut weights, "after");
        let folded = Model::new(network(nodes, &["sum"]), weights).unwrap().fold_batch_norms().unwrap();
        let inputs: Vec<_> = folded.network().nodes.iter().map(|node| (&*node.name, node.inputs.join(" "))).collect();
        let expected = [("c", "x"), ("relu", "c"), ("after", "relu"), ("sum", "c after")];
        assert_eq!(inputs, expected.map(|(name, inputs)| (name, inputs.to_string())));
    }

    #[test]
    fn composed_and_folded_layers_agree() {
        let attributes = DoConv { d_mul: 2, pairing: Pairing::Torch };
        let conv = Conv2d { doconv: Some(attributes), ..Conv2d::new(1, 2, [1, 2]) };
        let mut weights = Weights::from([
            ("c.W".into(), tensor(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0])),
            ("c.D".into(), tensor(&[1, 2, 2], &[0.5, 1.5, -1.0, 0.25])),
        ]);
        norm_weights(&mut weights, "n");
        let model =
            Model::new(network(vec![node("c", "x", Op::Conv2d(conv)), norm("n", "c")], &["n"]), weights).unwrap();
        let norms_first = model.fold_batch_norms().unwrap();
        assert!(norms_first.is_composed());
        let a = norms_first.fold().unwrap();
        let b = model.fold().unwrap().fold_batch_norms().unwrap();
        assert_eq!(a.weights(), b.weights());
        assert_eq!(a.network(), b.network());
    }

    #[test]
    fn a_negative_variance_is_named() {
        let model = conv_then_norm(false);
        let mut weights = model.weights().clone();
        weights.insert("n.running_var".into(), tensor(&[2], &[3.0, -1.0]));
        let error = Model::new(model.network().clone(), weights).unwrap().fold_batch_norms().unwrap_err();
        assert!(error.to_string().starts_with("tensor `n.running_var`: value 1 is -1, and with eps 1"), "{error}");
    }
}
