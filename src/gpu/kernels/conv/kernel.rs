//! What a convolution kernel says of itself.

use super::problem::ConvProblem;
use crate::gpu::policy::{Policy, Tile};
use crate::gpu::shader::{Kernel, ShaderKey};

/// A kernel that computes convolutions: which it can run, when heuristics take it, how it is specialised.
///
/// A new one is a file with an implementation, a template in `shaders/conv/`, and a line in `table.rs`.
pub trait ConvKernel: Sync {
    /// Its name in kernel configurations, and what a policy excludes it by.
    fn name(&self) -> &'static str;

    /// Its shader families: one, and another for the products of Winograd convolutions where it runs these.
    fn families(&self) -> &'static [&'static Kernel];

    /// Whether it can run a convolution on an adapter with this policy.
    fn can_run(&self, problem: &ConvProblem, policy: &Policy) -> bool;

    /// Whether it is worth taking, without anything having been timed. Of those that say so, the first of the table is taken.
    fn suits(&self, _: &ConvProblem, _: &Policy) -> bool {
        true
    }

    /// How it runs a convolution that it can run, without anything having been timed.
    fn default_tile(&self, problem: &ConvProblem, policy: &Policy) -> Tile;

    /// Whether it can run the convolution with this tile: those that files hold need not be any that it knows.
    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool;

    /// Tiles that are worth timing, beside the default one.
    fn other_tiles(&self, _: &ConvProblem, _: &Policy) -> Vec<Tile> {
        vec![]
    }

    /// Whether it is worth timing at all.
    fn is_worth_timing(&self, _: &ConvProblem, _: &Policy) -> bool {
        true
    }

    /// The specialised shader for a tile that it accepts.
    fn shader(&self, problem: &ConvProblem, tile: &Tile, policy: &Policy) -> ShaderKey;

    /// Invocations along x, y and z.
    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3];

    /// Whether several invocations may share a sum: parts of it are then left for [`split`](super::split).
    fn can_split(&self) -> bool {
        false
    }
}
