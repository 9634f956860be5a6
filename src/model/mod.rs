//! A network together with its weights.

mod batch_norm;
#[cfg(training)]
mod cut;

pub(crate) use batch_norm::Affine;

use std::collections::BTreeMap;

use crate::doconv::{self, Composed};
use crate::network::{BatchNorm, Conv2d, Network, Node, Op, Preprocess};
use crate::{Error, Result, Tensor};

/// Tensors by their full PyTorch names, such as `layer1.0.conv1.weight`.
pub type Weights = BTreeMap<String, Tensor>;

/// A network and the weights that fit it: what a model file holds.
///
/// DO-Conv layers are either folded (`name.weight`, an ordinary OIHW kernel) or composed (`name.W`, `name.D` and the
/// constant `name.d_diag`, which may be absent and is then the identity), layer by layer.
#[derive(Clone, Debug)]
pub struct Model {
    network: Network,
    weights: Weights,
}

/// The kernel of a convolution as the weights hold it.
#[derive(Clone, Debug)]
pub(crate) enum ConvWeights {
    /// An ordinary kernel, OIHW.
    Folded(Tensor),
    /// W and the effective D.
    Composed(Composed),
}

impl Model {
    /// Puts a description and weights together after checking that every parameter is there, fits and is finite, and
    /// that none is left over.
    ///
    /// # Errors
    /// [`Error::Network`] for the description, [`Error::Weight`] naming the first tensor at fault.
    pub fn new(network: Network, weights: Weights) -> Result<Self> {
        network.infer(1)?;
        let model = Self { network, weights };
        model.check_weights()?;
        Ok(model)
    }

    /// The description.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The parameters.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same model with other class names; an empty list takes them away.
    ///
    /// # Errors
    /// [`Error::Network`] if there is not one name for every value of the first output.
    pub fn with_labels(mut self, labels: Vec<String>) -> Result<Self> {
        self.network.labels = labels;
        self.network.infer(1)?;
        Ok(self)
    }

    /// The same model with other preprocessing.
    ///
    /// # Errors
    /// [`Error::Network`] if the rules contradict the network's input.
    pub fn with_preprocess(mut self, rules: Option<Preprocess>) -> Result<Self> {
        self.network.preprocess = rules;
        self.network.infer(1)?;
        Ok(self)
    }

    /// Whether any layer still holds W and D.
    pub fn is_composed(&self) -> bool {
        self.convolutions().any(|(node, _)| self.weights.contains_key(&format!("{}.W", node.name)))
    }

    /// The composed layers whose depth multiplier is below the number of taps, by name: D has too few columns to give
    /// every kernel, so such a layer cannot learn what an ordinary convolution can.
    pub fn rank_deficient_layers(&self) -> Vec<&str> {
        let deficient = |conv: &Conv2d| conv.doconv.is_some_and(|doconv| doconv.d_mul < conv.taps());
        let composed = |node: &Node| self.weights.contains_key(&format!("{}.W", node.name));
        let layers = self.convolutions().filter(|(node, conv)| deficient(conv) && composed(node));
        layers.map(|(node, _)| node.name.as_str()).collect()
    }

    /// Every convolution, with its node.
    pub fn convolutions(&self) -> impl Iterator<Item = (&Node, &Conv2d)> {
        self.network.nodes.iter().filter_map(|node| match &node.op {
            Op::Conv2d(conv) => Some((node, conv)),
            _ => None,
        })
    }

    /// The same function with every DO-Conv layer folded into an ordinary kernel.
    ///
    /// The layers stay marked as DO-Conv in the description, so that [`Model::expand`] finds them again.
    ///
    /// # Errors
    /// [`Error::Weight`] if a folded kernel overflows.
    pub fn fold(&self) -> Result<Self> {
        let mut weights = self.weights.clone();
        for (node, conv) in self.convolutions() {
            if let ConvWeights::Composed(composed) = self.conv_weights(node, conv)? {
                remove_conv_kernel(&mut weights, &node.name);
                weights.insert(format!("{}.weight", node.name), fold_layer(&node.name, conv, &composed)?);
            }
        }
        Self::new(self.network.clone(), weights)
    }

    /// The same function with every spatial convolution as a DO-Conv layer, ready for fine-tuning.
    ///
    /// `d_mul` is the depth multiplier (`None`: a layer's own, or its number of taps where it has none). With
    /// `jitter` 0 the residual D is zero; otherwise it is normally distributed with that standard deviation per
    /// `√taps`, and W makes up for it. Layers that already hold W and D stay as they are.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a `d_mul` below a layer's taps, which could not keep the function, or a jitter that
    /// is no finite number ≥ 0.
    pub fn expand(&self, d_mul: Option<usize>, jitter: f64, seed: u64) -> Result<Self> {
        self.expand_where(|_| true, d_mul, jitter, seed)
    }

    /// [`Model::expand`], for the convolutions that `wanted` picks.
    pub(crate) fn expand_where(
        &self,
        wanted: impl Fn(&Conv2d) -> bool,
        d_mul: Option<usize>,
        jitter: f64,
        seed: u64,
    ) -> Result<Self> {
        let mut network = self.network.clone();
        let mut weights = self.weights.clone();
        for node in &mut network.nodes {
            let original = node.clone();
            let Op::Conv2d(conv) = &mut node.op else { continue };
            if conv.taps() == 1 || !wanted(conv) {
                continue;
            }
            let ConvWeights::Folded(kernel) = self.conv_weights(&original, conv)? else { continue };
            let expanded = doconv::Expansion { d_mul, jitter, seed }.expand(&node.name, conv, &kernel)?;
            weights.remove(&format!("{}.weight", node.name));
            weights.insert(format!("{}.W", node.name), expanded.w);
            weights.insert(format!("{}.D", node.name), expanded.d_residual);
            conv.doconv = Some(expanded.attributes);
        }
        Self::new(network, weights)
    }

    /// The kernel of a convolution, folded or composed, checked against its attributes.
    pub(crate) fn conv_weights(&self, node: &Node, conv: &Conv2d) -> Result<ConvWeights> {
        let name = &node.name;
        let folded = format!("{name}.weight");
        let w_name = format!("{name}.W");
        let d_name = format!("{name}.D");
        match (self.weights.contains_key(&folded), self.weights.contains_key(&w_name)) {
            (true, true) => {
                Err(Error::weight(folded, format!("the layer also has `{w_name}`: it is either folded or composed")))
            }
            (false, false) => Err(Error::weight(folded, "missing (nor is there a `.W` to fold)")),
            (true, false) => {
                if self.weights.contains_key(&d_name) {
                    return Err(Error::weight(d_name, format!("surplus: the layer has a folded kernel `{folded}`")));
                }
                Ok(ConvWeights::Folded(self.tensor(&folded, &conv.kernel_shape())?.clone()))
            }
            (false, true) => {
                let Some(attributes) = conv.doconv else {
                    if conv.taps() == 1 {
                        let w = self.tensor(&w_name, &[conv.out_channels, conv.channels_per_group(), 1])?;
                        return Ok(ConvWeights::Folded(w.clone().reshape(conv.kernel_shape())?));
                    }
                    return Err(Error::weight(w_name, "the description does not mark this layer as DO-Conv"));
                };
                let s = attributes.d_mul;
                let w = self.tensor(&w_name, &[conv.out_channels, conv.channels_per_group(), s])?;
                if conv.taps() == 1 {
                    return Ok(ConvWeights::Folded(w.clone().reshape(conv.kernel_shape())?));
                }
                let d_shape = [conv.in_channels, conv.taps(), s];
                let mut d = self.tensor(&d_name, &d_shape)?.clone();
                let diagonal = ["d_diag", "D_diag"].iter().map(|part| format!("{name}.{part}"));
                match diagonal.into_iter().find(|name| self.weights.contains_key(name)) {
                    Some(name) => {
                        let constant = self.tensor(&name, &d_shape)?;
                        d.data_mut().iter_mut().zip(constant.data()).for_each(|(d, &constant)| *d += constant);
                    }
                    None => doconv::add_identity(conv.taps(), s, d.data_mut()),
                }
                Ok(ConvWeights::Composed(Composed { w: w.clone(), d, attributes }))
            }
        }
    }

    /// A parameter that must be there in this shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<&Tensor> {
        tensor(&self.weights, name, shape)
    }

    fn check_weights(&self) -> Result<()> {
        let mut used: Vec<String> = vec![];
        for node in &self.network.nodes {
            let mut need = |part: &str, shape: &[usize]| -> Result<()> {
                let name = format!("{}.{part}", node.name);
                self.tensor(&name, shape)?;
                used.push(name);
                Ok(())
            };
            match &node.op {
                Op::Conv2d(conv) => {
                    if conv.bias {
                        need("bias", &[conv.out_channels])?;
                    }
                    self.conv_weights(node, conv)?;
                    used.extend(KERNEL_PARTS.iter().map(|part| format!("{}.{part}", node.name)));
                }
                Op::ConvTranspose2d(conv) => {
                    need("weight", &conv.kernel_shape())?;
                    if conv.bias {
                        need("bias", &[conv.out_channels])?;
                    }
                }
                Op::Constant(shape) => need("value", shape)?,
                Op::Linear(linear) => {
                    need("weight", &[linear.out_features, linear.in_features])?;
                    if linear.bias {
                        need("bias", &[linear.out_features])?;
                    }
                }
                Op::BatchNorm(norm) => {
                    for part in BatchNorm::PARAMETERS {
                        need(part, &[norm.channels])?;
                    }
                }
                _ => {}
            }
        }
        used.sort_unstable();
        for (name, tensor) in &self.weights {
            if used.binary_search(name).is_err() {
                return Err(Error::weight(name, "surplus: no layer of the network uses it"));
            }
            if let Some(at) = tensor.data().iter().position(|value| !value.is_finite()) {
                return Err(Error::weight(name, format!("value {at} is {}", tensor.data()[at])));
            }
        }
        Ok(())
    }
}

/// A parameter that must be there in this shape.
fn tensor<'a>(weights: &'a Weights, name: &str, shape: &[usize]) -> Result<&'a Tensor> {
    let tensor = weights.get(name).ok_or_else(|| Error::weight(name, "missing"))?;
    if tensor.shape() != shape {
        return Err(Error::weight(name, format!("expected shape {shape:?}, the file has {:?}", tensor.shape())));
    }
    Ok(tensor)
}

/// Everything that can hold a convolution's kernel.
const KERNEL_PARTS: [&str; 5] = ["weight", "W", "D", "d_diag", "D_diag"];

fn fold_layer(layer: &str, conv: &Conv2d, composed: &Composed) -> Result<Tensor> {
    doconv::fold(conv, composed).map_err(|error| Error::weight(layer, error.to_string()))
}

fn remove_conv_kernel(weights: &mut Weights, layer: &str) {
    for part in KERNEL_PARTS {
        weights.remove(&format!("{layer}.{part}"));
    }
}
