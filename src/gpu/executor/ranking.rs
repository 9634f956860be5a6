//! What is ranked after a run, and the buffers for it.

use bytemuck::{Pod, Zeroable};

use super::command::Command;

/// How many classes are ranked at most: every one is a pass over all of them.
pub(crate) const MOST_RANKED: usize = 64;

/// What is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// How many classes are wanted.
    pub(crate) best: usize,
    /// Whether the network gives logits, of which a softmax is wanted.
    pub(crate) softmax: bool,
}

/// A class and its probability, as the shader writes it. Where there is no best class, [`Best::class`] is `u32::MAX`, and in
/// place of a probability is what the largest value is: see `shaders/common/number_kind.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(crate) struct Best {
    pub(crate) class: u32,
    pub(crate) probability: f32,
}

impl Best {
    /// What stands in the way of a best class, if anything.
    pub(crate) fn obstacle(&self) -> Option<f32> {
        const KINDS: [f32; 4] = [f32::NEG_INFINITY, f32::NAN, f32::INFINITY, f32::NAN];
        (self.class == u32::MAX).then(|| KINDS.get(self.probability as usize).copied().unwrap_or(f32::NAN))
    }
}

/// Everything that ranking after one program needs.
#[derive(Debug)]
pub(super) struct Ranker {
    pub(super) ranking: Ranking,
    pub(super) commands: Vec<Command>,
    pub(super) best: wgpu::Buffer,
    pub(super) readback: wgpu::Buffer,
}
