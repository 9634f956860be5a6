//! Indices into the lists of a plan.

/// Index of a [`Value`](super::Value) in [`Plan::values`](super::Plan::values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

/// Index of a [`Kernel`](super::Kernel) in [`Plan::kernels`](super::Plan::kernels).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelId(pub(crate) usize);

/// Index of a [`Constant`](super::Constant) in [`Plan::constants`](super::Plan::constants).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstantId(pub(crate) usize);
