//! Parameter names and axis orders of PyTorch, TensorFlow and Gluon, and their conversion to PyTorch's.
//!
//! | | PyTorch | TensorFlow | Gluon |
//! |---|---|---|---|
//! | kernel | `weight` OIHW | `kernel` HWIO, `depthwise_kernel` HWIM | `weight` OIHW |
//! | W | `W [out, cpg, S]` | `kernel [S, cpg, out]` | `weight [out, cpg, M, N]` |
//! | residual D | `D [in, K, S]` | `D [K, S, in]` | `D [K, S, in]` |
//! | identity | `d_diag`, `D_diag` | not stored | not stored |
//! | batch norm | `weight`, `bias`, `running_…` | `gamma`, `beta`, `moving_…` | `gamma`, `beta`, `running_…` |
//!
//! In grouped layers TensorFlow and Gluon number the channels of D otherwise than the paper: channel `j·groups + G` is
//! in-group channel `j` of group `G`. Put in the paper's order, they have the paper's pairing.

use super::tensor_file::is_counter;
use super::transpose::permute;
use crate::network::{Network, Op, Pairing, Source};
use crate::{Error, Result, Tensor, Weights};

/// Who wrote a state dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Convention {
    Torch,
    TensorFlow,
    Gluon,
}

impl Convention {
    /// Tells by the parts that the names end in.
    fn of(weights: &Weights) -> Self {
        let any = |wanted: &[&str]| weights.keys().any(|name| wanted.contains(&split(name).1));
        let gluon_layer =
            |name: &String| split(name).1 == "D" && weights.contains_key(&format!("{}.weight", split(name).0));
        if any(&["W"]) {
            Convention::Torch
        } else if any(&["kernel", "depthwise_kernel"]) {
            Convention::TensorFlow
        } else if any(&["gamma", "beta"]) || weights.keys().any(gluon_layer) {
            Convention::Gluon
        } else {
            Convention::Torch
        }
    }

    /// Which D belongs to which channel once the weights are in PyTorch's orders.
    pub fn pairing(self) -> Pairing {
        match self {
            Convention::Torch => Pairing::Torch,
            Convention::TensorFlow | Convention::Gluon => Pairing::Paper,
        }
    }
}

/// Weights under PyTorch's names and in its axis orders, and whose they were.
///
/// # Errors
/// [`Error::Weight`] if two tensors end up with one name, or a W and a D contradict each other.
pub(super) fn to_torch(weights: Weights) -> Result<(Weights, Convention)> {
    let weights = plain_names(weights, |name| {
        let name = name.strip_suffix(":0").unwrap_or(name).replace('/', ".");
        let (layer, part) = split(&name);
        let part = match part {
            "moving_mean" => "running_mean",
            "moving_variance" | "moving_var" => "running_var",
            other => other,
        };
        if layer.is_empty() { part.into() } else { format!("{layer}.{part}") }
    })?;
    let convention = Convention::of(&weights);
    if convention == Convention::Torch {
        return Ok((weights, convention));
    }
    let mut result = Weights::new();
    for (name, tensor) in &weights {
        let (layer, part) = split(name);
        let sibling = |part: &str| weights.get(&format!("{layer}.{part}"));
        let (part, tensor) = match (part, tensor.shape()) {
            ("gamma", _) => ("weight", tensor.clone()),
            ("beta", _) => ("bias", tensor.clone()),
            ("kernel", [_, _]) => ("weight", permute(tensor, &[1, 0])?),
            ("kernel", [_, _, _]) => ("W", permute(tensor, &[2, 1, 0])?),
            ("kernel", [_, _, _, _]) => ("weight", permute(tensor, &[3, 2, 0, 1])?),
            ("depthwise_kernel", &[m, n, inputs, multiplier]) => {
                ("weight", permute(tensor, &[2, 3, 0, 1])?.reshape([inputs * multiplier, 1, m, n])?)
            }
            ("weight", &[out, cpg, m, n]) if sibling("D").is_some() => {
                ("W", tensor.clone().reshape([out, cpg, m * n])?)
            }
            ("D", &[_, _, inputs]) => {
                let cpg = match (sibling("kernel").map(Tensor::shape), sibling("weight").map(Tensor::shape)) {
                    (Some(&[_, cpg, _]), _) | (None, Some(&[_, cpg, _, _])) => cpg,
                    _ => inputs,
                };
                ("D", in_paper_order(name, permute(tensor, &[2, 0, 1])?, cpg)?)
            }
            _ => (part, tensor.clone()),
        };
        let name = format!("{layer}.{part}");
        if result.insert(name.clone(), tensor).is_some() {
            return Err(Error::weight(name, "is there twice, in two frameworks' names"));
        }
    }
    Ok((result, convention))
}

/// What PyTorch's wrappers for several devices put before every name.
pub(super) const WRAPPER: &str = "module.";

/// Weights without what training leaves behind: a leading `module.` of names, and batch counters.
///
/// # Errors
/// [`Error::Weight`] if two tensors end up with one name.
pub(super) fn plain_names(weights: Weights, rename: impl Fn(&str) -> String) -> Result<Weights> {
    let mut plain = Weights::new();
    for (name, tensor) in weights.into_iter().filter(|(name, _)| !is_counter(name)) {
        let short = rename(name.strip_prefix(WRAPPER).unwrap_or(&name));
        if plain.insert(short.clone(), tensor).is_some() {
            return Err(Error::weight(short, "is there twice, with and without `module.` before its name"));
        }
    }
    Ok(plain)
}

/// A D `[in, K, S]` whose channels go from group to group, with each group's channels side by side.
fn in_paper_order(name: &str, d: Tensor, cpg: usize) -> Result<Tensor> {
    let inputs = d.shape()[0];
    if cpg == 0 || !inputs.is_multiple_of(cpg) {
        return Err(Error::weight(
            name,
            format!("has {inputs} channels, no multiple of the {cpg} that each output reads"),
        ));
    }
    let (shape, groups) = (d.shape().to_vec(), inputs / cpg);
    permute(&d.reshape([cpg, groups, shape[1], shape[2]])?, &[1, 0, 2, 3])?.reshape(shape)
}

/// TensorFlow flattens a map with its channels last, so the columns of a linear layer that reads one change places.
pub(super) fn reorder_flattened(network: &Network, weights: &mut Weights) -> Result<()> {
    let inferred = network.infer(1)?;
    for (node, edges) in network.nodes.iter().zip(&inferred.edges) {
        let Op::Linear(linear) = &node.op else { continue };
        let mut source = edges[0];
        while let Source::Node(index) = source
            && matches!(network.nodes[index].op, Op::Flatten)
        {
            source = inferred.edges[index][0];
        }
        let [_, c, h, w] = inferred.shape(source);
        let Some(weight) = weights.get_mut(&format!("{}.weight", node.name)) else { continue };
        if h * w > 1 && weight.shape() == [linear.out_features, linear.in_features] {
            let columns = weight.clone().reshape([linear.out_features, h, w, c])?;
            *weight = permute(&columns, &[0, 3, 1, 2])?.reshape([linear.out_features, linear.in_features])?;
        }
    }
    Ok(())
}

/// A tensor's layer and part.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{FORMAT_VERSION, Input, Linear, Node};

    fn tensor(shape: &[usize]) -> Tensor {
        Tensor::new(shape, (0..shape.iter().product()).map(|value| value as f32).collect()).unwrap()
    }

    fn weights<const N: usize>(tensors: [(&str, Tensor); N]) -> Weights {
        tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect()
    }

    #[test]
    fn keras_layers_get_pytorchs_axes() {
        let file = weights([
            ("block/conv/kernel:0", tensor(&[2, 3, 4, 5])),
            ("block/depthwise/depthwise_kernel:0", tensor(&[2, 3, 4, 2])),
            ("block/bn/gamma:0", tensor(&[5])),
            ("block/bn/moving_variance:0", tensor(&[5])),
            ("fc/kernel:0", tensor(&[4, 2])),
        ]);
        let (weights, convention) = to_torch(file).unwrap();
        assert_eq!(convention, Convention::TensorFlow);
        let names: Vec<&str> = weights.keys().map(String::as_str).collect();
        let expected =
            ["block.bn.running_var", "block.bn.weight", "block.conv.weight", "block.depthwise.weight", "fc.weight"];
        assert_eq!(names, expected);
        // Output 3, input 2, row 1, column 0 lies at [1, 0, 2, 3] in HWIO.
        let conv = &weights["block.conv.weight"];
        assert_eq!(conv.shape(), [5, 4, 2, 3]);
        assert_eq!(conv.data()[((3 * 4 + 2) * 2 + 1) * 3], (((3 * 4) + 2) * 5 + 3) as f32);
        // Output 5 is the second of input channel 2.
        let depthwise = &weights["block.depthwise.weight"];
        assert_eq!(depthwise.shape(), [8, 1, 2, 3]);
        assert_eq!(depthwise.data()[5 * 6], (2 * 2 + 1) as f32);
        assert_eq!(weights["fc.weight"].data()[..4], [0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn names_tell_whose_weights_they_are() {
        let of = |names: &[&str]| {
            let file: Weights = names.iter().map(|&name| (name.to_string(), tensor(&[1]))).collect();
            Convention::of(&file)
        };
        assert_eq!(of(&["a.weight", "a.bias", "b.running_mean"]), Convention::Torch);
        assert_eq!(of(&["a.W", "a.D", "b.gamma"]), Convention::Torch);
        assert_eq!(of(&["a.kernel", "b.gamma"]), Convention::TensorFlow);
        assert_eq!(of(&["a.weight", "b.gamma"]), Convention::Gluon);
        assert_eq!(of(&["a.weight", "a.D"]), Convention::Gluon);
    }

    #[test]
    fn tensors_that_become_one_are_named() {
        let error = to_torch(weights([("a/bias", tensor(&[1])), ("a.bias", tensor(&[1]))])).unwrap_err().to_string();
        assert!(error.starts_with("tensor `a.bias`: is there twice"), "{error}");
        let both = weights([("a.gamma", tensor(&[1])), ("a.weight", tensor(&[1]))]);
        let error = to_torch(both).unwrap_err().to_string();
        assert!(error.starts_with("tensor `a.weight`: is there twice"), "{error}");
        let odd = weights([("a.kernel", tensor(&[9, 4, 8])), ("a.D", tensor(&[9, 9, 6]))]);
        let error = to_torch(odd).unwrap_err().to_string();
        assert!(error.starts_with("tensor `a.D`: has 6 channels, no multiple of the 4"), "{error}");
    }

    #[test]
    fn a_linear_layer_reads_a_flattened_map_channels_first() {
        let (c, h, w) = (2, 3, 2);
        let linear = Op::Linear(Linear { in_features: c * h * w, out_features: 1, bias: false });
        let node = |name: &str, input: &str, op: Op| Node { name: name.into(), inputs: vec![input.into()], op };
        let network = Network {
            version: FORMAT_VERSION,
            name: "test".into(),
            inputs: vec![Input::new("x", [c, h, w])],
            nodes: vec![node("flat", "x", Op::Flatten), node("fc", "flat", linear)],
            outputs: vec!["fc".into()],
            preprocess: None,
            labels: vec![],
        };
        // Every column is numbered by its place in TensorFlow's order: row, column, channel.
        let mut weights = weights([("fc.weight", tensor(&[1, c * h * w]))]);
        reorder_flattened(&network, &mut weights).unwrap();
        let expected: Vec<f32> =
            (0..c).flat_map(|channel| (0..h * w).map(move |pixel| (pixel * c + channel) as f32)).collect();
        assert_eq!(weights["fc.weight"].data(), expected);
    }
}
