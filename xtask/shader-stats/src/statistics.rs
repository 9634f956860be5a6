//! What a compiler says of a shader.

use serde::{Deserialize, Serialize};

/// A shader on one GPU, as the driver tells. Registers are those of an invocation, or, for scalars, of a subgroup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[u32; 10]", into = "[u32; 10]")]
pub struct Statistics {
    /// Invocations of a subgroup.
    pub subgroup: u32,
    /// Vector registers.
    pub vgprs: u32,
    /// Scalar registers.
    pub sgprs: u32,
    /// Vector and scalar registers that were spilled.
    pub spills: u32,
    /// Bytes of memory for what does not fit into registers, of a subgroup.
    pub scratch: u32,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Subgroups that a SIMD unit can hold at a time. On RDNA, Mesa 22.3 counts those of 64 invocations twice.
    pub waves: u32,
    /// Instructions.
    pub instructions: u32,
    /// Multiply-adds per hundred instructions of the innermost loop that multiplies most, or of a shader without loops.
    pub multiply_adds: u32,
    /// Loads from buffers that are under way while this loop multiplies.
    pub loads_in_flight: u32,
}

/// The fields' names, in their order in files and tables.
pub const COLUMNS: [&str; 10] = [
    "subgroup",
    "VGPRs",
    "SGPRs",
    "spills",
    "scratch",
    "workgroup memory",
    "waves",
    "instructions",
    "multiply-adds %",
    "loads in flight",
];

impl From<[u32; 10]> for Statistics {
    fn from(values: [u32; 10]) -> Self {
        let [subgroup, vgprs, sgprs, spills, scratch, workgroup_memory, waves, instructions, multiply_adds, loads] =
            values;
        Self {
            subgroup,
            vgprs,
            sgprs,
            spills,
            scratch,
            workgroup_memory,
            waves,
            instructions,
            multiply_adds,
            loads_in_flight: loads,
        }
    }
}

impl From<Statistics> for [u32; 10] {
    fn from(it: Statistics) -> Self {
        let registers = [it.subgroup, it.vgprs, it.sgprs, it.spills, it.scratch];
        let others = [it.workgroup_memory, it.waves, it.instructions, it.multiply_adds, it.loads_in_flight];
        let mut values = registers.into_iter().chain(others);
        std::array::from_fn(|_| values.next().unwrap_or_default())
    }
}

impl Statistics {
    /// Whether registers did not suffice.
    pub fn needs_memory(&self) -> bool {
        self.spills > 0 || self.scratch > 0
    }

    /// Whether it needs more, or hides less latency, than it did. Instructions, their kinds and scalar registers are not
    /// judged: more of them may be faster.
    pub fn is_worse_than(&self, old: &Self) -> bool {
        self.vgprs > old.vgprs
            || self.spills > old.spills
            || self.scratch > old.scratch
            || self.workgroup_memory > old.workgroup_memory
            || self.waves < old.waves
            || self.loads_in_flight < old.loads_in_flight
    }
}
