//! What the step that writes a value does beside: an activation, or the addition of a residual.

use super::Lowering;
use crate::network::{Activation, Node, Op, Source};
#[cfg(training)]
use crate::plan::TrainStep;
use crate::plan::{Step, ValueId};

impl Lowering<'_> {
    /// Whether a value is read once, by a node, so that the step that writes it may write something else instead.
    fn private(&self, source: Source) -> bool {
        matches!(source, Source::Node(_)) && self.readers[&source] == 1
    }

    /// Lets the step that made an input do this node's work too, where it can; gives the value that results.
    pub(super) fn fuse(&mut self, node: &Node, edges: &[Source]) -> Option<ValueId> {
        match node.op {
            Op::Activation(activation) => self.fuse_activation(activation, edges[0]),
            Op::Add => self.fuse_residual(edges[0], edges[1]),
            _ => None,
        }
    }

    fn fuse_activation(&mut self, activation: Activation, source: Source) -> Option<ValueId> {
        let value = self.value_of[&source];
        // The backward pass of any other activation needs its argument.
        let is_kept_apart = self.is_for_training() && !activation.only_bounds();
        if is_kept_apart || !self.private(source) || self.shares_value(source) {
            return None;
        }
        let slot = match &mut self.plan.steps[*self.writer.get(&value)?] {
            Step::Conv(conv) => &mut conv.activation,
            Step::Binary(binary) => &mut binary.activation,
            #[cfg(training)]
            Step::Train(TrainStep::Normalise(norm)) => &mut norm.activation,
            _ => return None,
        };
        if slot.is_some() {
            return None;
        }
        *slot = Some(activation);
        Some(value)
    }

    /// The later of the two summands, where it is a bare convolution or batch norm, takes the earlier one as its residual.
    fn fuse_residual(&mut self, a: Source, b: Source) -> Option<ValueId> {
        let written = |source| self.writer.get(&self.value_of[&source]).copied();
        let (late, early) = if written(a) >= written(b) { (a, b) } else { (b, a) };
        let same_shape = self.inferred.shape(late) == self.inferred.shape(early);
        if late == early || !self.private(late) || self.shares_value(late) || !same_shape {
            return None;
        }
        let (value, residual) = (self.value_of[&late], self.value_of[&early]);
        let step = *self.writer.get(&value)?;
        let (slot, activation) = match &mut self.plan.steps[step] {
            Step::Conv(conv) => (&mut conv.residual, conv.activation),
            #[cfg(training)]
            Step::Train(TrainStep::Normalise(norm)) => (&mut norm.residual, norm.activation),
            _ => return None,
        };
        if value == residual || slot.is_some() || activation.is_some() {
            return None;
        }
        *slot = Some(residual);
        Some(value)
    }

    /// Whether another value of the network that is still wanted lies in the same place (a flattened view).
    fn shares_value(&self, source: Source) -> bool {
        let wanted = |other: &Source| self.readers.get(other).copied().unwrap_or(0) > 1;
        self.sources_at[&self.value_of[&source]].iter().any(|other| *other != source && wanted(other))
    }
}
