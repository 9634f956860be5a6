//! The suites of the benchmark.

use serde::{Deserialize, Serialize};

/// A group of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Single convolutions of well-known networks, with bias and ReLU and random weights.
    Layers,
    /// A whole network, in every mode.
    Networks,
    /// What DO-Conv costs: layers of W and D in every mode, composing by itself, and a network that is folded beside one that
    /// never had W and D. Without a model, or with one that has no DO-Conv layers, only the layers.
    Fold,
    /// What the adapter can do at most: arithmetic, memory, dispatches.
    Peak,
}

impl Suite {
    /// Every suite there is.
    pub const ALL: [Suite; 4] = [Suite::Layers, Suite::Networks, Suite::Fold, Suite::Peak];

    /// The name that the command line and records use.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Layers => "layers",
            Suite::Networks => "networks",
            Suite::Fold => "fold",
            Suite::Peak => "peak",
        }
    }
}
