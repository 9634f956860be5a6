//! Extents and other integers of operators that may depend on the batch.

use std::sync::Arc;

use super::array::Array;
use super::axis_rules::{self, Range};
use super::batch::{ALL, value};
use super::import::Importer;
use super::node::Node;
use super::value::{Run, SAMPLES, Stop, Value, describe};

/// Integers that describe what an operator does, for any batch.
pub(super) struct Ints {
    first: Vec<i64>,
    step: Vec<i64>,
}

impl Ints {
    /// What they are for a batch of `n`.
    pub fn at(&self, n: usize) -> Vec<i64> {
        let more = n as i64 - 1;
        self.first.iter().zip(&self.step).map(|(first, step)| first.wrapping_add(step.wrapping_mul(more))).collect()
    }
}

impl Importer<'_> {
    /// A known value that may depend on the batch: what a function gives for the array at each of the batches.
    pub(super) fn for_batches(
        &self,
        node: &Node,
        array: impl Fn(usize) -> Result<Array, String>,
    ) -> Result<Vec<Value>, Stop> {
        let mut arrays = vec![];
        for &n in self.batches() {
            arrays.push(array(n)?);
        }
        let one = (arrays.len() == 1).then(|| arrays.swap_remove(0));
        let value = one.map_or_else(|| value(arrays), |array| Some(Value::Known(Arc::new(array))));
        Ok(vec![value.ok_or_else(|| self.mixes(node))?])
    }

    /// The batches that must all come to the same network: one where the file declares it, and where the first axis is
    /// no batch.
    fn batches(&self) -> &[usize] {
        match &self.declared_batch {
            _ if !self.batched => &[1],
            Some(batch) => std::slice::from_ref(batch),
            None => &SAMPLES,
        }
    }

    /// The extents of a value in a batch of `n`.
    pub(super) fn dims_of(&self, run: &Run, n: usize) -> Vec<usize> {
        let mut dims = run.dims.clone();
        if let Some(first) = dims.first_mut().filter(|_| self.batched) {
            *first = n;
        }
        dims
    }

    /// What an input has for every element of the batch, if that is known and the same.
    pub(super) fn repeated_element(&self, node: &Node, index: usize) -> Option<Arc<Array>> {
        self.varying(node, index)?.element().cloned().map(Arc::new)
    }

    /// Integers that may depend on the batch.
    pub(super) fn ints(&self, node: &Node, index: usize) -> Result<Option<Ints>, Stop> {
        if let Some(Value::Varying(varying)) = self.value(node, index) {
            if !varying.is_linear() || varying.at[0].is_float() {
                return Err(self.depends(node, index));
            }
            let [first, second, ..] = &varying.at;
            let first = first.to_i64();
            let step = second.to_i64().iter().zip(&first).map(|(second, first)| second.wrapping_sub(*first)).collect();
            return Ok(Some(Ints { first, step }));
        }
        let known = self.known(node, index)?;
        Ok(known.map(|array| Ints { first: array.to_i64(), step: vec![0; array.data().len()] }))
    }

    /// Extents that an operator has for every batch, where the one at `position` must be the batch: it becomes 1.
    pub(super) fn per_batch(
        &self,
        node: &Node,
        position: Option<usize>,
        rule: impl Fn(usize) -> Result<Vec<usize>, String>,
    ) -> Result<Vec<usize>, Stop> {
        if !self.batched {
            return Ok(rule(1)?);
        }
        let mut found: Option<Vec<usize>> = None;
        for &n in self.batches() {
            let Ok(mut dims) = rule(n) else { return Err(self.mixes(node)) };
            if let Some(position) = position {
                match dims.get_mut(position) {
                    Some(extent) if *extent == n => *extent = 1,
                    _ => return Err(self.mixes(node)),
                }
            }
            if found.as_ref().is_some_and(|found| *found != dims) {
                return Err(self.mixes(node));
            }
            found = Some(dims);
        }
        found.ok_or_else(|| self.mixes(node))
    }

    /// What a `Slice` takes of every axis, which must be all of the batch.
    pub(super) fn slices(&self, node: &Node, run: &Run, parameters: &[Option<Ints>]) -> Result<Vec<Range>, Stop> {
        let ranges = |n: usize| {
            let parameters: Vec<_> = parameters.iter().map(|ints| ints.as_ref().map(|ints| ints.at(n))).collect();
            axis_rules::slices(node, &self.dims_of(run, n), &parameters)
        };
        if !self.batched {
            return Ok(ranges(1)?);
        }
        let largest = if self.declared_batch.is_none() { Some(ALL) } else { None };
        let mut found: Option<Vec<Range>> = None;
        for n in self.batches().iter().copied().chain(largest) {
            let Ok(mut own) = ranges(n) else { return Err(self.mixes(node)) };
            if own.first() != Some(&Range::whole(n)) {
                return Err(self.mixes(node));
            }
            own[0] = Range::whole(1);
            if found.as_ref().is_some_and(|found| *found != own) {
                return Err(self.mixes(node));
            }
            found = Some(own);
        }
        found.ok_or_else(|| self.mixes(node))
    }

    /// The error of an operator that must know an input for all batches at once.
    pub(super) fn depends(&self, node: &Node, index: usize) -> Stop {
        let name = node.input(index).unwrap_or_default();
        Stop::Batch(format!("{} ({}) reads `{name}`, which depends on its extent", describe(node), node.op()))
    }
}
