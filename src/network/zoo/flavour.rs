//! The naming scheme of a network's parameters.

/// Whose parameter names, and whose network where the two differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    Torch,
    Gluon,
}
