//! Every shader family of convolutions, for tests.

use super::table::KERNELS;
use super::{feature, split, winograd};
use crate::gpu::shader::Kernel;

/// Those of all kernels, and what goes with them.
pub fn families() -> impl Iterator<Item = &'static Kernel> {
    let of_kernels = KERNELS.iter().flat_map(|kernel| kernel.families()).copied();
    of_kernels.chain([&split::FAMILY, &feature::FAMILY]).chain(winograd::FAMILIES)
}
