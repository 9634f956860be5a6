//! What a compiler says of a shader.

use serde::{Deserialize, Serialize};

/// A shader on one GPU. Sizes are in bytes, registers are those of an invocation, or, for scalars, of a subgroup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Invocations of a subgroup.
    pub subgroup: u32,
    /// Vector registers.
    pub vgprs: u32,
    /// Scalar registers.
    pub sgprs: u32,
    /// Vector and scalar registers that were spilled.
    pub spills: u32,
    /// Memory for what does not fit into registers, of a subgroup.
    pub scratch: u32,
    /// Workgroup memory.
    pub workgroup_memory: u32,
    /// Subgroups that a SIMD unit can hold at a time.
    pub waves: u32,
    /// Instructions, constants included.
    pub instructions: u32,
    /// Share of the innermost loop's instructions that multiply and add, in per cent: of the whole shader if it has no loop.
    pub multiply_add_percent: u32,
    /// Loads from buffers that are under way while that loop runs.
    pub loads_in_flight: u32,
}

impl Statistics {
    /// Whether registers did not suffice.
    pub fn spills(&self) -> bool {
        self.spills > 0 || self.scratch > 0
    }

    /// Whether it needs more, or hides less latency, than it did. Instructions and scalar registers are not judged: more of
    /// them may be faster.
    pub fn is_worse_than(&self, old: &Self) -> bool {
        self.vgprs > old.vgprs
            || self.spills > old.spills
            || self.scratch > old.scratch
            || self.workgroup_memory > old.workgroup_memory
            || self.waves < old.waves
            || self.loads_in_flight < old.loads_in_flight
    }
}
