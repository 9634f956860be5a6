//! What kernels are told when a step becomes dispatches: the plan, the batch and the policy.

use super::super::policy::Policy;
use super::super::shader::{Dispatch, Resource, ShaderKey};
use super::conv::KernelLayouts;
use crate::network::Shape;
use crate::plan::{Plan, ValueId};

/// What a step is lowered with.
pub struct Context<'a> {
    /// The plan that it is a step of.
    pub plan: &'a Plan,
    /// How many of everything that the plan has one of.
    pub batch: usize,
    /// By what kernels are chosen.
    pub policy: &'a Policy,
    /// How the plan's kernels lie in memory.
    pub layouts: &'a KernelLayouts,
}

impl Context<'_> {
    /// A value's shape for the batch.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.plan.value(value).batched(self.batch)
    }

    /// A value's name.
    pub fn name(&self, value: ValueId) -> &str {
        &self.plan.value(value).name
    }

    /// A dispatch that binds nothing but maps, the last of which names it.
    pub fn maps_dispatch<P: bytemuck::Pod>(
        &self,
        shader: ShaderKey,
        params: &P,
        maps: Vec<(u32, ValueId)>,
        invocations: [usize; 3],
    ) -> Dispatch {
        let label = maps.last().map(|&(_, value)| self.name(value)).unwrap_or_default();
        let bindings = maps.into_iter().map(|(binding, value)| (binding, Resource::Map(value))).collect();
        Dispatch::new(label, shader, params, bindings, invocations)
    }
}
