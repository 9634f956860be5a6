//! Adapts a network to a data set: its classifier head and the size of its input.

use crate::network::{Activation, Conv2d, DoConv, FORMAT_VERSION, Input, Linear, Node, Op, Shape};
use crate::{Error, Model, Network, Result};

/// The name of the convolution of [`doconv_head`].
pub(super) const HEAD_CONV: &str = "head.conv";

/// Features that the convolution of [`doconv_head`] makes.
const FEATURES: usize = 32;

/// The name of the layer that gives the logits.
///
/// # Errors
/// [`Error::Unsupported`] if they do not come from a fully connected layer or a convolution, perhaps by way of an activation,
/// pooling or flattening.
pub fn head(network: &Network) -> Result<&str> {
    last_layer(network, |op| {
        use Op::{Activation, AvgPool, Flatten, GlobalAvgPool, GlobalMaxPool, MaxPool};
        matches!(op, Activation(_) | GlobalAvgPool | GlobalMaxPool | AvgPool(_) | MaxPool(_) | Flatten)
    })
}

/// The last layer with weights, found backwards from the output through operators that are `passed`.
fn last_layer(network: &Network, passed: impl Fn(&Op) -> bool) -> Result<&str> {
    let mut name = network.outputs.first().map(String::as_str).unwrap_or_default();
    loop {
        let node = network.nodes.iter().find(|node| node.name == name);
        match node {
            Some(Node { op: Op::Linear(_) | Op::Conv2d(_), .. }) => return Ok(name),
            Some(Node { op, inputs, .. }) if passed(op) => name = inputs[0].as_str(),
            _ => {
                return Err(Error::Unsupported(format!(
                    "`{}` does not end in a layer whose outputs are classes",
                    network.name
                )));
            }
        }
    }
}

/// The last map with pixels, or the last vector, that a classifier makes its logits of: what its last layer reads, before
/// pooling and flattening. The network may end in a softmax.
///
/// # Errors
/// Those of [`head`]; [`Error::Unsupported`] if there is nothing before the last layer.
pub fn last_map(network: &Network) -> Result<&str> {
    let find = |name: &str| network.nodes.iter().find(|node| node.name == name);
    let head = last_layer(network, |op| {
        use Op::{Activation, AvgPool, Flatten, GlobalAvgPool, GlobalMaxPool, LogSoftmax, MaxPool, Softmax};
        matches!(
            op,
            Activation(_) | GlobalAvgPool | GlobalMaxPool | AvgPool(_) | MaxPool(_) | Flatten | Softmax | LogSoftmax
        )
    })?;
    let mut name = find(head).map_or(head, |node| node.inputs[0].as_str());
    while let Some(node) = find(name) {
        match node.op {
            Op::GlobalAvgPool | Op::GlobalMaxPool | Op::AvgPool(_) | Op::MaxPool(_) | Op::Flatten => {
                name = node.inputs[0].as_str();
            }
            _ => return Ok(name),
        }
    }
    Err(Error::Unsupported(format!("`{}` has one layer only, so there are no features to go on from", network.name)))
}

/// A small classifier of maps `[channels, height, width]`: a DO-Conv layer of 3×3 taps, ReLU, the mean over all pixels, and a
/// fully connected layer.
///
/// # Errors
/// [`Error::Network`] if there is no class or no pixel.
pub fn doconv_head([channels, height, width]: [usize; 3], classes: &[String]) -> Result<Network> {
    let conv = Conv2d {
        padding: [1; 4],
        bias: true,
        doconv: Some(DoConv { d_mul: 9, pairing: Default::default() }),
        ..Conv2d::new(channels, FEATURES, [3, 3])
    };
    let linear = Linear { in_features: FEATURES, out_features: classes.len(), bias: true };
    let operators = [
        (HEAD_CONV, Op::Conv2d(conv)),
        ("head.relu", Op::Activation(Activation::Relu)),
        ("head.pool", Op::GlobalAvgPool),
        ("head.linear", Op::Linear(linear)),
    ];
    let mut before = "features".to_owned();
    let node = |(name, op): (&str, Op)| Node {
        name: name.into(),
        inputs: vec![std::mem::replace(&mut before, name.into())],
        op,
    };
    let nodes = operators.into_iter().map(node).collect();
    let network = Network {
        version: FORMAT_VERSION,
        name: "head".into(),
        inputs: vec![Input::new("features", [channels, height, width])],
        nodes,
        outputs: vec!["head.linear".into()],
        preprocess: None,
        labels: classes.to_vec(),
    };
    network.infer(1)?;
    Ok(network)
}

/// A network for other classes: its last layer gets as many outputs, and the classes their names.
///
/// # Errors
/// Those of [`head`].
pub fn with_classes(mut network: Network, classes: &[String]) -> Result<Network> {
    let head = head(&network)?.to_owned();
    for node in network.nodes.iter_mut().filter(|node| node.name == head) {
        match &mut node.op {
            Op::Linear(Linear { out_features, .. }) => *out_features = classes.len(),
            Op::Conv2d(conv) => conv.out_channels = classes.len(),
            _ => {}
        }
    }
    network.labels = classes.to_vec();
    network.infer(1)?;
    Ok(network)
}

/// The same network for images of another size, where its layers allow that; else as it was.
pub fn adapt_input(network: Network, [height, width]: [usize; 2]) -> Network {
    let mut adapted = network.clone();
    let Some(input) = adapted.inputs.first_mut() else { return network };
    (input.shape[1], input.shape[2]) = (height, width);
    if adapted.infer(1).is_ok() { adapted } else { network }
}

impl Model {
    /// Whether its last layer tells these classes from each other: it has as many outputs, and their names, if it has names.
    ///
    /// # Errors
    /// Those of [`head`].
    pub fn has_classes(&self, classes: &[String]) -> Result<bool> {
        let outputs = |network: &Network| -> Result<Vec<Shape>> {
            let inferred = network.infer(1)?;
            Ok(inferred.outputs.iter().map(|&source| inferred.shape(source)).collect())
        };
        let labels = &self.network().labels;
        let as_many = outputs(&with_classes(self.network().clone(), classes)?)? == outputs(self.network())?;
        Ok(as_many && (labels.is_empty() || labels == classes))
    }

    /// The same model for other classes: where it [has others](Model::has_classes), the last layer begins anew, with weights as in
    /// [`Model::initialised`].
    ///
    /// # Errors
    /// Those of [`head`].
    pub fn for_classes(&self, classes: &[String], seed: u64) -> Result<Self> {
        let head = head(self.network())?;
        let network = with_classes(self.network().clone(), classes)?;
        if self.has_classes(classes)? {
            return Self::new(network, self.weights().clone());
        }
        let is_of_head = |name: &str| name.rsplit_once('.').is_some_and(|(layer, _)| layer == head);
        let mut weights = self.weights().clone();
        weights.retain(|name, _| !is_of_head(name));
        let fresh = Self::initialised(network.clone(), seed)?;
        weights
            .extend(fresh.weights().iter().filter(|(name, _)| is_of_head(name)).map(|(n, t)| (n.clone(), t.clone())));
        Self::new(network, weights)
    }
}
