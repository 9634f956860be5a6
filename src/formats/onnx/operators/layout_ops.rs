//! Layout operators: they move values and compute nothing.

use super::super::array::Array;
use super::super::axis_rules::{self, Range};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Run, Stop, Value};
use super::{MAX_EXTENT, Values, around, one};
use crate::network::{Op, Pad, PaddingMode, Slice};

/// No operator may become more nodes than this.
const MAX_PARTS: usize = 1024;

impl Importer<'_> {
    pub(super) fn reshape(&mut self, node: &Node) -> Values {
        if node.op() == "Reshape" {
            let shape = self.ints(node, 1)?;
            let run = self.run(node, 0)?;
            let dims = self.per_batch(node, Some(0), |n| {
                let shape = shape.as_ref().map(|shape| shape.at(n));
                axis_rules::reshaped(node, &self.dims_of(&run, n), shape.as_deref())
            })?;
            return one(run.with(dims));
        }
        let second = self.known(node, 1)?.as_deref().map(Array::to_i64);
        let run = self.run(node, 0)?;
        if !self.batched {
            let dims = axis_rules::reshaped(node, &run.dims, second.as_deref())?;
            return one(run.with(dims));
        }
        let (rank, axes) = (run.rank(), second.as_deref().or_else(|| node.ints("axes")));
        let names_batch = |axes: &[i64], rank: usize| {
            axes.iter().any(|&axis| axis_rules::axis(axis, rank).is_ok_and(|axis| axis == 0))
        };
        let mixes = match (node.op(), axes) {
            ("Flatten", _) => axis_rules::axis(node.int("axis", 1), rank).is_ok_and(|axis| axis == 0),
            ("Squeeze", Some(axes)) => names_batch(axes, rank),
            // A batch of one is squeezed as well. That changes no value, so it counts only where the extent is known.
            ("Squeeze", None) => self.declared_batch == Some(1) || (self.declared_batch.is_none() && self.given_batch),
            (_, axes) => axes.is_some_and(|axes| names_batch(axes, rank + axes.len())),
        };
        if mixes {
            return Err(self.mixes(node));
        }
        if node.op() == "Squeeze" && axes.is_none() {
            let kept = |&(axis, &extent): &(usize, &usize)| axis == 0 || extent != 1;
            let dims: Vec<usize> = run.dims.iter().enumerate().filter(kept).map(|(_, &extent)| extent).collect();
            return one(run.with(dims));
        }
        let dims =
            self.per_batch(node, Some(0), |n| axis_rules::reshaped(node, &self.dims_of(&run, n), second.as_deref()))?;
        one(run.with(dims))
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        let permutation = axis_rules::permutation(node, run.rank())?;
        one(self.permuted(node, &run, &permutation)?)
    }

    /// A value with its axes in another order.
    pub(super) fn permuted(&mut self, node: &Node, run: &Run, permutation: &[usize]) -> Result<Run, Stop> {
        if self.batched && permutation.first().is_some_and(|&axis| axis != 0) {
            return Err(self.mixes(node));
        }
        let dims: Vec<usize> = permutation.iter().map(|&axis| run.dims[axis]).collect();
        // Axes of extent 1 may be anywhere.
        let order: Vec<usize> = permutation.iter().copied().filter(|&axis| run.dims[axis] != 1).collect();
        if order.is_sorted() {
            return Ok(run.clone().with(dims));
        }
        if run.rank() <= 4 {
            let mut axes = [0, 1, 2, 3];
            for (to, &from) in permutation.iter().enumerate() {
                axes[self.map_axis(run.rank(), to)] = self.map_axis(run.rank(), from);
            }
            let placed = self.placed(run)?;
            return Ok(self.emit(&self.name(node), Op::Transpose(axes), &[&placed], vec![])?.with(dims));
        }
        // Axes that stay neighbours are one: the sources of the groups, and their extents.
        let mut sources = order.clone();
        sources.sort_unstable();
        let rank_of = |axis: usize| sources.iter().position(|&source| source == axis).unwrap_or(0);
        let mut groups: Vec<(usize, usize)> = vec![];
        let mut last = None;
        for &axis in &order {
            let place = rank_of(axis);
            match groups.last_mut() {
                Some((_, extent)) if last.is_some_and(|last| last + 1 == place) => *extent *= run.dims[axis],
                _ => groups.push((place, run.dims[axis])),
            }
            last = Some(place);
        }
        let mut current = groups.clone();
        current.sort_unstable();
        let mut result = run.clone();
        // One group after the other is moved in front of what precedes it.
        for at in 0..groups.len() {
            let Some(from) = current.iter().position(|group| *group == groups[at]) else { continue };
            if from == at {
                continue;
            }
            let extent = |groups: &[(usize, usize)]| groups.iter().map(|group| group.1).product::<usize>();
            let shape =
                [extent(&current[..at]), extent(&current[at..from]), current[from].1, extent(&current[from + 1..])];
            let placed = self.place(&result, shape)?;
            result = self.emit(&self.name(node), Op::Transpose([0, 2, 1, 3]), &[&placed], vec![])?;
            let group = current.remove(from);
            current.insert(at, group);
        }
        Ok(result.with(dims))
    }

    /// `DepthToSpace` and `SpaceToDepth`, as reshaping, transposing and reshaping.
    pub(super) fn space(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        let b = usize::try_from(node.int("blocksize", 0)).unwrap_or(0);
        let &[n, c, h, w] = run.dims.as_slice() else {
            return Err(format!("it takes four axes, not {:?}", run.dims).into());
        };
        let misfit = || Stop::from(format!("a block size of {b} does not fit {:?}", run.dims));
        if node.op() == "DepthToSpace" {
            let square = b.checked_mul(b).filter(|&square| square > 0 && c % square == 0).ok_or_else(misfit)?;
            let depth = c / square;
            let (dims, order) = if node.text("mode", "DCR") == "CRD" {
                ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
            } else {
                ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
            };
            let moved = self.permuted(node, &run.clone().with(dims), &order)?;
            return one(moved.with([n, depth, h * b, w * b]));
        }
        if b == 0 || h % b != 0 || w % b != 0 {
            return Err(misfit());
        }
        let dims = [n, c, h / b, b, w / b, b];
        let order = if node.text("mode", "DCR") == "CRD" { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
        let moved = self.permuted(node, &run.clone().with(dims), &order)?;
        one(moved.with([n, c * b * b, h / b, w / b]))
    }

    pub(super) fn concat(&mut self, node: &Node) -> Values {
        let values: Vec<Value> = (0..node.proto.input.len()).filter_map(|index| self.value(node, index)).collect();
        let dims_of = |value: &Value| match value {
            Value::Run(run) => run.dims.clone(),
            Value::Known(array) => array.dims().to_vec(),
            _ => vec![],
        };
        let runs = values.iter().filter(|value| matches!(value, Value::Run(_)));
        let first = runs.chain(&values).next().map(dims_of).ok_or("it has no inputs")?;
        let axis = axis_rules::axis(node.int("axis", 1), first.len())?;
        if axis == 0 && self.batched {
            return Err(self.mixes(node));
        }
        let mut parts = vec![];
        let mut dims = first.clone();
        dims[axis] = 0;
        for mut value in values {
            let mut own = dims_of(&value);
            if self.batched && matches!(value, Value::Known(_)) {
                // A constant has the batch as its first axis only where the file declares its extent.
                self.one_of_batch(&mut value, &mut own, dims.len());
                if self.declared_batch.is_none() || own.first() != Some(&1) {
                    return Err(self.mixes(node));
                }
            }
            if own.len() != dims.len() || (0..dims.len()).any(|at| at != axis && own[at] != dims[at]) {
                return Err(format!("{first:?} and {own:?} cannot be joined along axis {axis}").into());
            }
            if own[axis] == 0 {
                continue;
            }
            dims[axis] += own[axis];
            let shape = around(&own, axis);
            parts.push(match value {
                Value::Run(run) => self.place(&run, shape)?,
                Value::Known(array) => self.constant_map(node, &array, shape)?,
                _ => return Err(Stop::Never(String::new())),
            });
        }
        one(self.joined(node, &parts)?.with(dims))
    }

    fn joined(&mut self, node: &Node, parts: &[Run]) -> Result<Run, Stop> {
        match parts {
            [] => Err("its result is empty, which is not supported".into()),
            [only] => Ok(only.clone()),
            parts => self.emit(&self.name(node), Op::Concat, &parts.iter().collect::<Vec<_>>(), vec![]),
        }
    }

    pub(super) fn slice(&mut self, node: &Node) -> Values {
        let inputs = 1..node.proto.input.len();
        let parameters = inputs.map(|index| self.ints(node, index)).collect::<Result<Vec<_>, _>>()?;
        let run = self.run(node, 0)?;
        let ranges = self.slices(node, &run, &parameters)?;
        one(self.sliced(node, &run, &ranges)?)
    }

    /// Part of a value along all of its axes.
    fn sliced(&mut self, node: &Node, run: &Run, ranges: &[Range]) -> Result<Run, Stop> {
        let changed = |axis: &usize| ranges[*axis] != Range::whole(run.dims[*axis]);
        let changed: Vec<usize> = (0..run.rank()).filter(changed).collect();
        if ranges.iter().any(|range| range.count == 0) {
            return Err("its result is empty, which is not supported".into());
        }
        let take = |shape: [usize; 4], ranges: &[(usize, Range)]| {
            let mut slice = Slice { start: [0; 4], step: [1; 4], count: shape };
            for &(axis, range) in ranges {
                (slice.start[axis], slice.step[axis], slice.count[axis]) = (range.start, range.step, range.count);
            }
            Op::Slice(slice)
        };
        let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
        if changed.is_empty() {
            return Ok(run.clone());
        }
        if run.rank() <= 4 {
            let placed = self.placed(run)?;
            let ranges: Vec<_> = changed.iter().map(|&axis| (self.map_axis(run.rank(), axis), ranges[axis])).collect();
            let op = take(placed.shape, &ranges);
            return Ok(self.emit(&self.name(node), op, &[&placed], vec![])?.with(dims));
        }
        let mut result = run.clone();
        for axis in changed {
            let placed = self.place(&result, around(&result.dims, axis))?;
            let op = take(placed.shape, &[(1, ranges[axis])]);
            let mut dims = result.dims.clone();
            dims[axis] = ranges[axis].count;
            result = self.emit(&self.name(node), op, &[&placed], vec![])?.with(dims);
        }
        Ok(result)
    }

    pub(super) fn split(&mut self, node: &Node) -> Values {
        let sizes = self.known(node, 1)?.as_deref().map(Array::to_i64);
        let run = self.run(node, 0)?;
        if self.batched && axis_rules::axis(node.int("axis", 0), run.rank()).is_ok_and(|axis| axis == 0) {
            return Err(self.mixes(node));
        }
        let (axis, sizes) = axis_rules::split(node, &run.dims, sizes.as_deref())?;
        let mut ranges: Vec<Range> = run.dims.iter().map(|&extent| Range::whole(extent)).collect();
        let mut start = 0;
        let mut parts = vec![];
        for (part, count) in sizes.into_iter().enumerate() {
            ranges[axis] = Range { start, step: 1, count };
            start += count;
            let used = node.output(part).is_some();
            parts.push(if used { Value::Run(self.sliced(node, &run, &ranges)?) } else { Value::Failed });
        }
        Ok(parts)
    }

    pub(super) fn gather(&mut self, node: &Node) -> Values {
        let indices = self.known(node, 1)?.ok_or("its indices are missing")?;
        let run = self.run(node, 0)?;
        let axis = axis_rules::axis(node.int("axis", 0), run.rank())?;
        if axis == 0 && self.batched {
            return Err(self.mixes(node));
        }
        let picked = axis_rules::indices(&indices.to_i64(), run.dims[axis])?;
        let dims = [&run.dims[..axis], indices.dims(), &run.dims[axis + 1..]].concat();
        let mut ranges: Vec<Range> = run.dims.iter().map(|&extent| Range::whole(extent)).collect();
        let mut parts = vec![];
        for range in progressions(&picked) {
            if parts.len() == MAX_PARTS {
                return Err(format!("its indices are more than {MAX_PARTS} slices").into());
            }
            ranges[axis] = range;
            let part = self.sliced(node, &run, &ranges)?;
            parts.push(self.place(&part, around(&part.dims, axis))?);
        }
        one(self.joined(node, &parts)?.with(dims))
    }

    /// A value repeated along axes of extent 1.
    pub(super) fn expand(&mut self, node: &Node) -> Values {
        let wanted = self.ints(node, 1)?.ok_or("its shape is missing")?;
        let run = self.run(node, 0)?;
        if self.batched && wanted.at(1).len() > run.rank() {
            return Err(self.mixes(node));
        }
        let dims = self.per_batch(node, Some(0), |n| {
            axis_rules::broadcast(&self.dims_of(&run, n), &axis_rules::extents(&wanted.at(n))?)
        })?;
        one(self.repeated(node, &run, &dims)?)
    }

    /// A value repeated to what it broadcasts to.
    pub(super) fn repeated(&mut self, node: &Node, run: &Run, dims: &[usize]) -> Result<Run, Stop> {
        let lead = dims.len() - run.rank();
        let own = [vec![1; lead], run.dims.clone()].concat();
        if own == dims {
            return Ok(run.clone().with(dims));
        }
        let mut result = run.clone().with(own.clone());
        for axis in (0..dims.len()).filter(|&axis| own[axis] != dims[axis]) {
            let [pre, _, _, post] = around_flat(&result.dims, axis);
            let ones =
                Array::new([dims[axis]], vec![1.0f32; dims[axis].min(1 << 24)]).ok_or("its shape is too large")?;
            let ones = self.constant_map(node, &ones, [1, dims[axis], 1, 1])?;
            let placed = self.place(&result, [pre, 1, 1, post])?;
            let mut dims_now = result.dims.clone();
            dims_now[axis] = dims[axis];
            result = self.emit(&self.name(node), Op::Mul, &[&placed, &ones], vec![])?.with(dims_now);
        }
        Ok(result)
    }

    pub(super) fn tile(&mut self, node: &Node) -> Values {
        let repeats = self.known(node, 1)?.ok_or("its repeats are missing")?;
        let mut run = self.run(node, 0)?;
        let repeats = axis_rules::extents(&repeats.to_i64())?;
        if repeats.len() != run.rank() {
            return Err(format!("{} repeats do not fit {:?}", repeats.len(), run.dims).into());
        }
        for (axis, &repeat) in repeats.iter().enumerate().filter(|(_, repeat)| **repeat != 1) {
            if repeat == 0 || repeat > MAX_PARTS {
                return Err(format!("{repeat} repeats are not within 1…{MAX_PARTS}").into());
            }
            let placed = self.around(node, &run, axis)?;
            let mut dims = run.dims.clone();
            dims[axis] *= repeat;
            run = self.joined(node, &vec![placed; repeat])?.with(dims);
        }
        one(run)
    }

    pub(super) fn pad(&mut self, node: &Node) -> Values {
        let given = self.known(node, 1)?;
        let value = self.known(node, 2)?;
        let axes = self.known(node, 3)?;
        let run = self.run(node, 0)?;
        let rank = run.rank();
        let pads = match &given {
            Some(pads) => pads.to_i64(),
            None => node.ints("pads").or_else(|| node.ints("paddings")).ok_or("its pads are missing")?.to_vec(),
        };
        let axes = match axes {
            Some(axes) => axis_rules::axes(&axes.to_i64(), rank)?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() || pads.iter().any(|pad| !(-MAX_EXTENT..=MAX_EXTENT).contains(pad)) {
            return Err(format!("pads {pads:?} do not fit {} axes", axes.len()).into());
        }
        let mode = match node.text("mode", "constant").as_str() {
            "constant" => PaddingMode::Zeros,
            "reflect" => PaddingMode::Reflect,
            "edge" => PaddingMode::Replicate,
            "wrap" => PaddingMode::Circular,
            other => return Err(format!("the mode `{other}` is not supported").into()),
        };
        let value = match value {
            Some(value) => value.to_f32().first().copied().unwrap_or(0.0),
            None => node.float("value", 0.0),
        };
        let sides = |at: usize| (pads[at], pads[at + axes.len()]);
        if self.batched && axes.iter().enumerate().any(|(at, &axis)| axis == 0 && sides(at) != (0, 0)) {
            return Err(self.mixes(node));
        }
        // Negative pads cut off.
        let mut ranges: Vec<Range> = run.dims.iter().map(|&extent| Range::whole(extent)).collect();
        let mut added = vec![];
        for (at, &axis) in axes.iter().enumerate() {
            let (before, after) = sides(at);
            let cut = |pad: i64| pad.min(0).unsigned_abs() as usize;
            let kept = run.dims[axis].checked_sub(cut(before) + cut(after)).filter(|&kept| kept > 0);
            ranges[axis] = Range {
                start: cut(before),
                step: 1,
                count: kept.ok_or("its result is empty, which is not supported")?,
            };
            if before > 0 || after > 0 {
                added.push((axis, before.max(0) as usize, after.max(0) as usize));
            }
        }
        let mut result = self.sliced(node, &run, &ranges)?;
        if added.is_empty() {
            return one(result);
        }
        if rank > 4 {
            for (axis, before, after) in added {
                let placed = self.place(&result, around(&result.dims, axis))?;
                let pad = Pad { before: [0, before, 0, 0], after: [0, after, 0, 0], mode, value };
                let mut dims = result.dims.clone();
                dims[axis] += before + after;
                result = self.emit(&self.name(node), Op::Pad(pad), &[&placed], vec![])?.with(dims);
            }
            return one(result);
        }
        let placed = self.placed(&result)?;
        let mut pad = Pad { before: [0; 4], after: [0; 4], mode, value };
        let mut dims = result.dims.clone();
        for (axis, before, after) in added {
            let map_axis = self.map_axis(rank, axis);
            (pad.before[map_axis], pad.after[map_axis]) = (before, after);
            dims[axis] += before + after;
        }
        one(self.emit(&self.name(node), Op::Pad(pad), &[&placed], vec![])?.with(dims))
    }
}

/// One axis of a value with all before and all behind it.
fn around_flat(dims: &[usize], axis: usize) -> [usize; 4] {
    [dims[..axis].iter().product(), dims[axis], 1, dims[axis + 1..].iter().product()]
}

/// Indices as stretches of equal distances.
fn progressions(indices: &[usize]) -> Vec<Range> {
    let mut ranges: Vec<Range> = vec![];
    for &index in indices {
        if let Some(range) = ranges.last_mut() {
            let last = range.start as isize + range.step * (range.count as isize - 1);
            let step = index as isize - last;
            if step != 0 && (range.count == 1 || step == range.step) {
                range.step = step;
                range.count += 1;
                continue;
            }
        }
        ranges.push(Range { start: index, step: 1, count: 1 });
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_as_few_slices_as_possible() {
        let range = |start, step, count| Range { start, step, count };
        assert_eq!(progressions(&[2]), [range(2, 1, 1)]);
        assert_eq!(progressions(&[1, 3, 5]), [range(1, 2, 3)]);
        assert_eq!(progressions(&[5, 4, 3, 3, 3, 4]), [range(5, -1, 3), range(3, 1, 1), range(3, 1, 2)]);
    }
}
