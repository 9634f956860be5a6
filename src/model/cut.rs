//! Parts of models; see [`Network::cut`] and [`Network::with_outputs`].

use std::collections::HashSet;

use crate::{Model, Network, Result, Weights};

impl Model {
    /// [`Network::cut`], with the weights of each part.
    ///
    /// # Errors
    /// Those of [`Network::cut`].
    pub fn cut(&self, node: &str) -> Result<[Model; 2]> {
        let [front, back] = self.network.cut(node)?;
        Ok([self.part(front)?, self.part(back)?])
    }

    /// [`Network::with_outputs`], sharing the weights.
    ///
    /// # Errors
    /// Those of [`Network::with_outputs`].
    pub fn with_outputs(&self, names: &[impl AsRef<str>]) -> Result<Model> {
        self.part(self.network.with_outputs(names)?)
    }

    /// [`Network::embedding`], sharing the weights: what [`Session::embed`](crate::Session::embed) runs.
    ///
    /// ```
    /// use doconv::{Adapter, Mode, Model, Session, Tensor, network::zoo};
    /// # pollster::block_on(async {
    /// let model = Model::initialised(zoo::build("resnet20")?, 0)?.embedding()?;
    /// let mut session = Session::load(&Adapter::cpu(), &model, Mode::Folded).await?;
    /// let vector = session.run(&[Tensor::zeros([1, 3, 32, 32])]).await?.swap_remove(0);
    /// assert_eq!(vector.shape(), [1, 64, 1, 1]);
    /// # Ok::<(), doconv::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Network::embedding`].
    pub fn embedding(&self) -> Result<Model> {
        self.part(self.network.embedding()?)
    }

    /// A network of some of the nodes, with their weights.
    fn part(&self, network: Network) -> Result<Model> {
        let own: HashSet<&str> = network.nodes.iter().map(|node| node.name.as_str()).collect();
        let is_own = |name: &str| name.rsplit_once('.').is_some_and(|(node, _)| own.contains(node));
        let weights: Weights = self
            .weights
            .iter()
            .filter(|(name, _)| is_own(name))
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect();
        Self::new(network, weights)
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
