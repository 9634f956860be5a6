//! Which values share a buffer.

use super::{ArenaId, Plan, ValueId};
use crate::network::Shape;

/// An assignment of values to buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For every value, the index of its buffer.
    pub buffer: Vec<usize>,
    /// For every value, where in its buffer it begins, in elements: at 0 but for those of [`Plan::arenas`].
    pub offset: Vec<usize>,
    /// For every buffer, its size in elements.
    pub sizes: Vec<usize>,
}

/// Values of an arena begin at multiples of so many elements: 256 bytes, where every device can bind.
pub(crate) const ARENA_ALIGNMENT: usize = 64;

impl Memory {
    /// The buffer of a value.
    pub fn buffer_of(&self, value: ValueId) -> usize {
        self.buffer[value.0]
    }

    /// Where a value begins in its buffer, in elements.
    pub fn offset_of(&self, value: ValueId) -> usize {
        self.offset[value.0]
    }

    /// The buffer of an arena.
    pub fn arena(&self, plan: &Plan, arena: ArenaId) -> usize {
        self.buffer_of(plan.arena(arena)[0])
    }

    /// Whether a value's buffer holds other values at other times.
    pub(crate) fn is_shared(&self, value: ValueId) -> bool {
        let buffer = self.buffer_of(value);
        self.buffer.iter().filter(|&&other| other == buffer).count() > 1
    }
}

impl Plan {
    /// Assigns the values to as few and as small buffers as their lifetimes allow.
    ///
    /// `elements` gives the number of elements a map takes in the executor's layout. No step's output shares a buffer
    /// with one of its inputs.
    pub fn memory(&self, batch: usize, elements: impl Fn(Shape) -> usize) -> Memory {
        assign(self, batch, &[], elements)
    }

    /// The same for an executor that never writes some of the values: those have no buffer.
    pub(crate) fn memory_without(
        &self,
        unwritten: &[ValueId],
        batch: usize,
        elements: impl Fn(Shape) -> usize,
    ) -> Memory {
        assign(self, batch, unwritten, elements)
    }
}

/// Walks the steps once. A value takes the free buffer that wastes least, or grows the largest free one, or a new one;
/// its buffer is free again after the last step that reads it. Outputs and states are never free, and nor are arenas. Values
/// that are `unwritten` get none.
fn assign(plan: &Plan, batch: usize, unwritten: &[ValueId], elements: impl Fn(Shape) -> usize) -> Memory {
    const NEVER: usize = usize::MAX;
    let mut last_use = vec![0; plan.values.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        step.inputs()
            .into_iter()
            .chain(step.output())
            .for_each(|value| last_use[value.0] = last_use[value.0].max(index));
        if let Some((first, _)) = plan.feature_pair(index) {
            last_use[first.input.0] = index + 1;
        }
    }
    plan.outputs.iter().for_each(|value| last_use[value.0] = NEVER);

    let count = plan.values.len();
    let mut memory = Memory { buffer: vec![NEVER; count], offset: vec![0; count], sizes: vec![] };
    for arena in &plan.arenas {
        let mut size = 0usize;
        for &value in arena {
            memory.buffer[value.0] = memory.sizes.len();
            memory.offset[value.0] = size.next_multiple_of(ARENA_ALIGNMENT);
            size = memory.offset[value.0] + elements(plan.values[value.0].batched(batch));
        }
        memory.sizes.push(size);
    }
    for state in plan.states.iter().filter(|state| memory.buffer[state.value.0] == NEVER).collect::<Vec<_>>() {
        memory.buffer[state.value.0] = memory.sizes.len();
        memory.sizes.push(elements(plan.values[state.value.0].batched(batch)));
    }
    let mut free: Vec<usize> = vec![];
    let mut live: Vec<ValueId> = vec![];
    let place = |memory: &mut Memory, free: &mut Vec<usize>, value: ValueId| {
        if memory.buffer[value.0] != NEVER || unwritten.contains(&value) {
            return false;
        }
        let size = elements(plan.values[value.0].batched(batch));
        let fitting = free.iter().copied().filter(|&b| memory.sizes[b] >= size).min_by_key(|&b| memory.sizes[b]);
        let chosen = fitting.or_else(|| free.iter().copied().max_by_key(|&b| memory.sizes[b])).unwrap_or_else(|| {
            memory.sizes.push(0);
            memory.sizes.len() - 1
        });
        free.retain(|&b| b != chosen);
        memory.sizes[chosen] = memory.sizes[chosen].max(size);
        memory.buffer[value.0] = chosen;
        true
    };
    for &input in &plan.inputs {
        if place(&mut memory, &mut free, input) {
            live.push(input);
        }
    }
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(output) = step.output()
            && place(&mut memory, &mut free, output)
        {
            live.push(output);
        }
        live.retain(|value| {
            let done = last_use[value.0] <= index;
            if done {
                free.push(memory.buffer[value.0]);
            }
            !done
        });
    }
    memory
}
