//! Models in two parts; see [`Network::cut`].

use std::collections::HashSet;

use crate::{Model, Network, Result, Weights};

impl Model {
    /// [`Network::cut`], with the weights of each part.
    ///
    /// # Errors
    /// Those of [`Network::cut`].
    pub fn cut(&self, node: &str) -> Result<[Model; 2]> {
        let [front, back] = self.network.cut(node)?;
        let weights = |network: &Network| -> Weights {
            let own: HashSet<&str> = network.nodes.iter().map(|node| node.name.as_str()).collect();
            let is_own = |name: &str| name.rsplit_once('.').is_some_and(|(node, _)| own.contains(node));
            let weights = self.weights.iter().filter(|(name, _)| is_own(name));
            weights.map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
        };
        let parts = [weights(&front), weights(&back)];
        let [front_weights, back_weights] = parts;
        Ok([Self::new(front, front_weights)?, Self::new(back, back_weights)?])
    }

    /// [`Network::join`], with the weights of both.
    ///
    /// # Errors
    /// Those of [`Network::join`].
    pub fn join(&self, back: &Model) -> Result<Model> {
        let network = self.network.join(&back.network)?;
        let mut weights = self.weights.clone();
        weights.extend(back.weights.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        Self::new(network, weights)
    }
}
