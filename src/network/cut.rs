//! Parts of networks: in two, and up to some of their values.

use std::collections::HashSet;

use super::{Input, Network, Node, Op};
use crate::{Error, Result};

impl Network {
    /// The network up to a node, and the network from there on, whose only input is that node's value and has its name. The
    /// first part keeps the preprocessing, the second one the names of the classes.
    ///
    /// ```
    /// let network = doconv::network::zoo::build("resnet20")?;
    /// let [front, back] = network.cut("layer2.2.add")?;
    /// assert_eq!(front.outputs, ["layer2.2.add"]);
    /// assert_eq!(back.inputs[0].shape, [32, 16, 16]);
    /// # Ok::<(), doconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Network`] if there is no such node, or if what comes after it reads something else, too.
    pub fn cut(&self, node: &str) -> Result<[Network; 2]> {
        let inferred = self.infer(1)?;
        let index = self.nodes.iter().position(|candidate| candidate.name == node);
        let index = index.ok_or_else(|| Error::node(node, "there is no such node to cut at"))?;
        let needed = self.ancestors(node);
        let (front, back): (Vec<_>, Vec<_>) =
            self.nodes.iter().cloned().partition(|node| needed.contains(node.name.as_str()));
        let after: HashSet<&str> = back.iter().map(|node| node.name.as_str()).chain([node]).collect();
        let read = back.iter().flat_map(|node| &node.inputs).chain(&self.outputs);
        if let Some(around) = read.map(String::as_str).find(|name| !after.contains(name)) {
            return Err(Error::node(
                node,
                format!("the network cannot be cut here: what comes after reads `{around}`, too"),
            ));
        }
        let [items, c, h, w] = inferred.nodes[index];
        let inputs = vec![Input { items, ..Input::new(node, [c, h, w]) }];
        Ok([
            Self { nodes: front, outputs: vec![node.into()], labels: vec![], ..self.clone() },
            Self { nodes: back, inputs, preprocess: None, ..self.clone() },
        ])
    }

    /// The network up to the values of these nodes or inputs, which are its outputs, in this order. What they do not depend on is
    /// left out, inputs too; the names of the classes stay where the first output does.
    ///
    /// ```
    /// let network = doconv::network::zoo::build("resnet20")?;
    /// let deep = network.with_outputs(&["layer3.2.relu2", "layer1.2.relu2"])?;
    /// assert_eq!(deep.infer(1)?.shape(deep.infer(1)?.outputs[0]), [1, 64, 8, 8]);
    /// # Ok::<(), doconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Network`] if there is no such node or input, no name is given, or none of the values depends on an input.
    pub fn with_outputs(&self, names: &[impl AsRef<str>]) -> Result<Self> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let is_there = |name: &str| {
            self.nodes.iter().any(|node| node.name == name) || self.inputs.iter().any(|input| input.name == name)
        };
        if let Some(unknown) = names.iter().find(|name| !is_there(name)) {
            let last = self.nodes.last().map(|node| node.name.as_str()).unwrap_or_default();
            return Err(Error::node(*unknown, format!("there is no such node; the last one is `{last}`")));
        }
        let needed: HashSet<&str> =
            names.iter().flat_map(|name| self.ancestors(name)).chain(names.iter().copied()).collect();
        let is_needed = |name: &str| needed.contains(name);
        let keeps_first = names.first().copied() == self.outputs.first().map(String::as_str);
        let network = Self {
            inputs: self.inputs.iter().filter(|input| is_needed(&input.name)).cloned().collect(),
            nodes: self.nodes.iter().filter(|node| is_needed(&node.name)).cloned().collect(),
            outputs: names.iter().map(|name| (*name).to_owned()).collect(),
            labels: if keeps_first { self.labels.clone() } else { vec![] },
            preprocess: self
                .preprocess
                .clone()
                .filter(|_| self.inputs.first().is_some_and(|first| is_needed(&first.name))),
            ..self.clone()
        };
        network.infer(1)?;
        Ok(network)
    }

    /// The network up to what the last layer of its first output reads, as a vector: the mean over all pixels where that is a map
    /// for a convolution. Similar images have similar vectors.
    ///
    /// # Errors
    /// [`Error::Network`] if no fully connected layer or convolution comes before the first output, or nothing comes before that.
    pub fn embedding(&self) -> Result<Self> {
        let needed = self.outputs.first().map(|output| self.ancestors(output)).unwrap_or_default();
        let has_weights = |node: &&Node| matches!(node.op, Op::Linear(_) | Op::Conv2d(_));
        let last = self.nodes.iter().rev().filter(|node| needed.contains(node.name.as_str())).find(has_weights);
        let last = last.ok_or_else(|| Error::node(&self.name, "no layer comes before its output"))?;
        let [name] = last.inputs.as_slice() else {
            return Err(Error::node(&last.name, "the last layer reads more than one value"));
        };
        if self.inputs.iter().any(|input| input.name == *name) {
            return Err(Error::node(&last.name, "nothing comes before the last layer"));
        }
        let mut network = self.with_outputs(&[name])?;
        let inferred = network.infer(1)?;
        let [_, _, height, width] = inferred.shape(inferred.outputs[0]);
        if matches!(last.op, Op::Conv2d(_)) && height * width > 1 {
            let mean = format!("{name}.mean");
            network.nodes.push(Node { name: mean.clone(), inputs: vec![name.clone()], op: Op::GlobalAvgPool });
            network.outputs = vec![mean];
            network.infer(1)?;
        }
        Ok(network)
    }

    /// Everything that a node's value depends on, and the node.
    fn ancestors(&self, node: &str) -> HashSet<&str> {
        let mut needed: HashSet<&str> = HashSet::new();
        for candidate in self.nodes.iter().rev() {
            if candidate.name == node || needed.contains(candidate.name.as_str()) {
                needed.insert(&candidate.name);
                needed.extend(candidate.inputs.iter().map(String::as_str));
            }
        }
        needed
    }

    /// One network of two: the second reads what the first one gives, which must be one map of the right shape each.
    ///
    /// # Errors
    /// [`Error::Network`] if they do not fit, or if both have a node of the same name.
    pub fn join(&self, back: &Network) -> Result<Network> {
        let ([output], [input]) = (self.outputs.as_slice(), back.inputs.as_slice()) else {
            return Err(Error::node(&back.name, "networks with several inputs or outputs cannot be joined"));
        };
        let inferred = self.infer(1)?;
        let (given, [c, h, w]) = (inferred.shape(inferred.outputs[0]), input.shape);
        if given != [input.items, c, h, w] {
            return Err(Error::node(&input.name, format!("expected {:?} and got {given:?}", [input.items, c, h, w])));
        }
        let renamed = |name: &String| if *name == input.name { output.clone() } else { name.clone() };
        let mut nodes = self.nodes.clone();
        nodes.extend(back.nodes.iter().cloned().map(|mut node| {
            node.inputs = node.inputs.iter().map(renamed).collect();
            node
        }));
        let joined = Self {
            nodes,
            outputs: back.outputs.iter().map(renamed).collect(),
            labels: back.labels.clone(),
            ..self.clone()
        };
        joined.infer(1)?;
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use crate::network::zoo;

    #[test]
    fn a_network_is_cut_and_joined_again() {
        let whole = zoo::build("efficientnet_lite0").unwrap();
        let cuts = whole.nodes.iter().filter_map(|node| whole.cut(&node.name).ok().map(|parts| (node, parts)));
        let mut count = 0;
        for (node, [front, back]) in cuts {
            assert_eq!(front.nodes.last().unwrap().name, node.name);
            assert_eq!(front.nodes.len() + back.nodes.len(), whole.nodes.len());
            let joined = front.join(&back).unwrap();
            assert_eq!(joined, whole);
            count += 1;
        }
        assert!(count > 20, "{count} places");
    }

    #[test]
    fn not_within_a_residual_block() {
        let network = zoo::build("resnet20").unwrap();
        let error = network.cut("layer1.0.conv1").unwrap_err().to_string();
        assert!(error.contains("layer1.0.conv1") && error.contains("reads `"), "{error}");
        let error = network.cut("conv9").unwrap_err().to_string();
        assert!(error.contains("conv9"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_not_joined() {
        let [front, _] = zoo::build("resnet20").unwrap().cut("layer2.2.relu2").unwrap();
        let [_, back] = zoo::build("resnet20").unwrap().cut("layer1.2.relu2").unwrap();
        let error = front.join(&back).unwrap_err().to_string();
        assert!(error.contains("[1, 16, 32, 32]") && error.contains("[1, 32, 16, 16]"), "{error}");
    }
}
