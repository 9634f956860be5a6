//! One run of one shader: what it binds and how large its grid is, all without a device.

use super::ShaderKey;
use crate::plan::{ArenaId, ConstantId, KernelId, ValueId};

/// One run of one shader.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// What it computes, for people.
    pub label: String,
    /// Which shader.
    pub shader: ShaderKey,
    /// Contents of binding 0, without where a part of the grid begins.
    pub params: Vec<u8>,
    /// What is bound, with its binding number.
    pub bindings: Vec<(u32, Resource)>,
    /// Workgroups along x, y and z, as many as it takes.
    pub grid: [u32; 3],
    /// Under what name a policy excludes what chose this shader, where something else can stand in for it.
    pub choice: Option<&'static str>,
}

/// A part of a grid that WebGPU can dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridPart {
    /// Its first workgroup.
    pub first: [u32; 3],
    /// Workgroups along x, y and z.
    pub groups: [u32; 3],
}

/// What a binding refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A feature map.
    Map(ValueId),
    /// A kernel, plain or composed; transformed for Winograd convolution where that runs.
    Kernel(KernelId),
    /// A plain kernel that is still to be transformed.
    Taps(KernelId),
    /// Its bias.
    Bias(KernelId),
    /// A map that never changes.
    Constant(ConstantId),
    /// All values of an arena.
    Arena(ArenaId),
    /// W of a composed kernel.
    W(KernelId),
    /// D of a composed kernel.
    D(KernelId),
    /// What a dispatch leaves for the next one: so many bytes, in one of two places.
    Scratch(Place, u64),
}

/// A dispatch may read in one place what it was left, and leave something in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The first one.
    First,
    /// The other one.
    Second,
}

/// WebGPU's baseline for `maxComputeWorkgroupsPerDimension`, which every adapter has.
pub const MAX_GROUPS: u32 = 65_535;

impl Dispatch {
    /// A dispatch with at least so many invocations along x, y and z.
    pub fn new<P: bytemuck::Pod>(
        label: impl Into<String>,
        shader: ShaderKey,
        params: &P,
        bindings: Vec<(u32, Resource)>,
        invocations: [usize; 3],
    ) -> Self {
        let [x, y] = shader.workgroup;
        let groups = [invocations[0].div_ceil(x as usize), invocations[1].div_ceil(y as usize), invocations[2]];
        let (params, grid) = (bytemuck::bytes_of(params).to_vec(), groups.map(|count| count as u32));
        Self { label: label.into(), shader, params, bindings, grid, choice: None }
    }

    /// The same, chosen under a name that a policy can exclude.
    #[must_use]
    pub fn chosen_as(self, choice: &'static str) -> Self {
        Self { choice: Some(choice), ..self }
    }

    /// The parts in which the grid is dispatched: one, unless it is beyond WebGPU's limit along an axis.
    pub fn parts(&self) -> Vec<GridPart> {
        let along = |count: u32| {
            let firsts = (0..count).step_by(MAX_GROUPS as usize);
            firsts.map(move |first| (first, MAX_GROUPS.min(count - first)))
        };
        let [x, y, z] = self.grid;
        let mut parts = vec![];
        for (first_z, groups_z) in along(z) {
            for (first_y, groups_y) in along(y) {
                for (first_x, groups_x) in along(x) {
                    parts.push(GridPart { first: [first_x, first_y, first_z], groups: [groups_x, groups_y, groups_z] });
                }
            }
        }
        parts
    }

    /// Contents of binding 0 for a part of the grid.
    pub fn params_of(&self, part: &GridPart) -> Vec<u8> {
        [&self.params[..], bytemuck::bytes_of(&part.first)].concat()
    }

    /// The most bytes that any of these dispatches leaves for the next, in every place.
    pub fn scratch_bytes(dispatches: &[Self]) -> [u64; 2] {
        let mut most = [0; 2];
        for (_, resource) in dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
            if let Resource::Scratch(place, bytes) = *resource {
                let largest = &mut most[place as usize];
                *largest = bytes.max(*largest);
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kernel;
    use super::*;

    static ANY: Kernel = Kernel { name: "any", ..Kernel::DEFAULT };

    #[test]
    fn grids_beyond_the_limit_are_dispatched_in_parts() {
        let parts = |invocations| Dispatch::new("", ANY.key([64, 2]), &0u32, vec![], invocations).parts();
        assert_eq!(parts([65, 3, 1]), [GridPart { first: [0; 3], groups: [2, 2, 1] }]);
        let many = parts([64 * 65_536, 3, 131_071]);
        let first: Vec<_> = many.iter().map(|part| part.first).collect();
        assert_eq!(first[..3], [[0, 0, 0], [65_535, 0, 0], [0, 0, 65_535]]);
        let groups: u64 = many.iter().map(|part| part.groups.map(u64::from).iter().product::<u64>()).sum();
        assert_eq!(groups, 65_536 * 2 * 131_071);
        assert!(many.iter().flat_map(|part| part.groups).all(|count| count <= MAX_GROUPS));
    }

    #[test]
    fn a_part_knows_where_it_begins() {
        let dispatch = Dispatch::new("", ANY.key([1, 1]), &7u32, vec![], [70_000, 1, 1]);
        let last = *dispatch.parts().last().unwrap();
        assert_eq!(dispatch.params_of(&last), bytemuck::bytes_of(&[7u32, 65_535, 0, 0]));
    }
}
