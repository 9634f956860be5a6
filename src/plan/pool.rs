//! Pooling as a step of a plan.

use super::ids::ValueId;

/// Maximum or mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum; padding never wins.
    Max,
    /// Mean.
    Mean {
        /// Whether padded zeros count in the divisor.
        count_include_pad: bool,
    },
}

/// A window sliding over every channel.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
    /// Vertical and horizontal distance between taps.
    pub dilation: [usize; 2],
    /// What is pooled.
    pub input: ValueId,
    /// The result.
    pub output: ValueId,
}
