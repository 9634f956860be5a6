//! Values of a graph while it is imported, and why one cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::array::Array;
use super::node::Node;
use crate::Error;
use crate::network::Shape;

/// Why a graph, or a node of it, cannot be imported as it is being tried.
#[derive(Debug)]
pub(super) enum Stop {
    /// Axis 0 is no batch.
    Batch(String),
    /// A value computed from these inputs must be known.
    Known(BTreeSet<String>),
    /// The extent of an input's axis must be known, which the file calls so.
    Free { input: String, axis: usize, symbol: String },
    /// This never works.
    Never(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Stop::Never(reason)
    }
}

impl From<&str> for Stop {
    fn from(reason: &str) -> Self {
        Stop::Never(reason.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Network { reason, .. } => Stop::Never(reason),
            other => Stop::Never(other.to_string()),
        }
    }
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known when the model is loaded.
    Known(Arc<Array>),
    /// Known, but for the extent of the batch.
    Varying(Arc<Varying>),
    /// Computed by the network.
    Run(Run),
    /// An input of integers that was not given.
    Missing(String),
    /// What a node would have given that cannot be imported.
    Failed,
}

/// A value computed at run time.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The node or input of the network that holds it.
    pub node: String,
    /// The extents it has there, for one element of the batch.
    pub shape: Shape,
    /// Its extents in the graph; the same numbers in the same order.
    pub dims: Vec<usize>,
    /// The inputs it is computed from.
    pub origins: Arc<BTreeSet<String>>,
}

/// The batches for which values are held. A product of two linear values is linear for all N if it is for three.
pub(super) const SAMPLES: [usize; 3] = [1, 2, 3];

/// A known value that differs between batches.
#[derive(Clone, Debug)]
pub(super) struct Varying {
    pub at: [Arc<Array>; SAMPLES.len()],
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every element is linear in N.
    Linear,
    /// The first axis is the batch, and all of its elements are the same for every N.
    Repeated,
}

impl Varying {
    /// The arrays for the samples.
    pub fn arrays(&self) -> &[Arc<Array>] {
        &self.at
    }

    /// The content that every element of the batch has, with a first axis of extent 1.
    pub fn element(&self) -> Option<&Array> {
        (self.kind == Kind::Repeated).then(|| &*self.at[0])
    }

    pub fn is_linear(&self) -> bool {
        self.kind == Kind::Linear
    }
}

/// A node as messages name it.
pub(super) fn describe(node: &Node) -> String {
    let name = Some(node.proto.name()).filter(|name| !name.is_empty()).or(node.output(0)).unwrap_or_default();
    format!("node `{name}`")
}
