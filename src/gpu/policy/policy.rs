//! By what kernels are chosen: one immutable value a load.

use super::TuningTable;
use crate::Precision;

/// What kernels an adapter should get. Decided when it is opened and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Shaders run on the CPU: no workgroup memory, no barriers, large register tiles.
    Software,
    /// A GPU: tiles in workgroup memory.
    Hardware,
}

/// By what kernels are chosen.
///
/// A load takes one from its device and keeps it: what is lowered, verified and run follows from the same value, whatever
/// other loads find out about the device meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What the adapter is.
    pub tier: Tier,
    /// What every convolution gets that it can run: for tests and measurements. A kernel's name, such as `tiled`, or one of
    /// `winograd_f2`, `winograd_f4`, `feature` and `split`.
    pub preferred: Option<&'static str>,
    /// What computes wrong results here, and is left out wherever something else will do; names as of `preferred`.
    pub excluded: Vec<&'static str>,
    /// How maps and kernels are stored, and what convolutions compute with.
    pub precision: Precision,
    /// Whether there are matrix units.
    pub matrix_units: bool,
    /// Whether it is SwiftShader. Loops make it compile in a third of the time, and run as fast; lavapipe unrolls them all and has
    /// more to do; and other compilers may put into memory what should be in registers.
    pub swiftshader: bool,
    /// How many invocations are a subgroup, where that is known and weights may be loaded together; otherwise 0.
    pub subgroup: u32,
    /// What autotuning found the fastest, for a batch of one.
    pub tuning: TuningTable,
}

impl From<Tier> for Policy {
    fn from(tier: Tier) -> Self {
        Self {
            tier,
            preferred: None,
            excluded: vec![],
            precision: Precision::F32,
            matrix_units: false,
            swiftshader: false,
            subgroup: 0,
            tuning: TuningTable::default(),
        }
    }
}

impl Policy {
    /// Whether something is not excluded.
    pub fn allows(&self, name: &str) -> bool {
        !self.excluded.contains(&name)
    }

    /// The same without a kernel or an algorithm.
    #[must_use]
    pub fn without(mut self, name: &'static str) -> Self {
        if self.allows(name) {
            self.excluded.push(name);
        }
        self
    }

    /// The same in single precision. Configurations were timed in the other one, and are dropped.
    #[must_use]
    pub fn in_single_precision(self) -> Self {
        Self { precision: Precision::F32, tuning: TuningTable::default(), ..self }
    }

    /// Whether there are matrix units for what is stored.
    pub(in crate::gpu) fn has_matrix_units(&self) -> bool {
        self.precision != Precision::F32 && self.matrix_units
    }

    /// Whether the device transforms plain kernels for Winograd convolution, rather than the host: four times as many values need
    /// not be brought there. A software adapter takes as long to compile the shaders for that as they save.
    pub(in crate::gpu) fn transforms_kernels(&self) -> bool {
        self.tier == Tier::Hardware
    }

    /// Whether shaders are to be compact.
    pub(in crate::gpu) fn is_compact(&self) -> bool {
        self.tier == Tier::Software && self.swiftshader
    }

    /// As `subgroup`, for what is stored: GPUs load what is the same for all only once anyway, and half precision asks for
    /// operations that few software adapters have.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::gpu) fn shared_weights(&self) -> u32 {
        let is_wanted = self.tier == Tier::Software && !self.precision.has_half_sums();
        if is_wanted && self.allows("subgroup") { self.subgroup } else { 0 }
    }

    /// Browsers do not say how many invocations are one.
    #[cfg(target_arch = "wasm32")]
    pub(in crate::gpu) fn shared_weights(&self) -> u32 {
        0
    }
}
