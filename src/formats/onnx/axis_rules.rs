//! Axes and extents of ONNX operators, the same for constants and for values computed at run time.

use std::borrow::Cow;
use std::sync::Arc;

use super::array::Array;
use super::node::Node;
use crate::tensor::element_count;

type Inputs<'a> = &'a [Option<Arc<Array>>];

/// An axis that may be counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let wrapped = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let found = usize::try_from(wrapped).ok().filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("axis {axis} does not exist among {rank}"))
}

/// Several of them, each only once.
pub(super) fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut found = vec![];
    for &one in axes {
        let one = axis(one, rank)?;
        if found.contains(&one) {
            return Err(format!("axis {one} is named twice"));
        }
        found.push(one);
    }
    Ok(found)
}

/// Extents given as integers.
pub(super) fn extents(values: &[i64]) -> Result<Vec<usize>, String> {
    values.iter().map(|&value| usize::try_from(value).map_err(|_| format!("an extent is {value}"))).collect()
}

/// Indices along an axis, which may be counted from the end.
pub(super) fn indices(values: &[i64], extent: usize) -> Result<Vec<usize>, String> {
    let find = |&value: &i64| {
        let wrapped = if value < 0 { value.saturating_add(extent as i64) } else { value };
        let index = usize::try_from(wrapped).ok().filter(|&index| index < extent);
        index.ok_or_else(|| format!("index {value} is outside an axis of {extent}"))
    };
    values.iter().map(find).collect()
}

/// The extents that two arrays have after broadcasting.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, x) | (x, 1) => Ok(x),
            _ => Err(format!("{a:?} and {b:?} cannot be combined")),
        })
        .collect()
}

/// The extents after `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze`, given the second input where that is known.
pub(super) fn reshaped(node: &Node, dims: &[usize], second: Option<&[i64]>) -> Result<Vec<usize>, String> {
    let given = |attribute: &str| second.or_else(|| node.ints(attribute));
    let rank = dims.len();
    match node.op() {
        "Flatten" => {
            let axis = node.int("axis", 1);
            let axis = if axis == rank as i64 { rank } else { self::axis(axis, rank)? };
            Ok(vec![dims[..axis].iter().product(), dims[axis..].iter().product()])
        }
        "Squeeze" => {
            let squeezed = match given("axes") {
                Some(axes) => self::axes(axes, rank)?,
                None => (0..rank).filter(|&axis| dims[axis] == 1).collect(),
            };
            if let Some(&axis) = squeezed.iter().find(|&&axis| dims[axis] != 1) {
                return Err(format!("axis {axis} has the extent {}, not 1", dims[axis]));
            }
            Ok((0..rank).filter(|axis| !squeezed.contains(axis)).map(|axis| dims[axis]).collect())
        }
        "Unsqueeze" => {
            let new = given("axes").ok_or("its axes are missing")?;
            let new = self::axes(new, rank + new.len())?;
            let mut old = dims.iter();
            let extent = |axis: usize| if new.contains(&axis) { 1 } else { old.next().copied().unwrap_or(1) };
            Ok((0..rank + new.len()).map(extent).collect())
        }
        _ => {
            let wanted = given("shape").ok_or("its shape is missing")?;
            let zero_is_zero = node.int("allowzero", 0) != 0;
            let mut result = vec![];
            let mut free = None;
            for (at, &extent) in wanted.iter().enumerate() {
                result.push(match extent {
                    0 if !zero_is_zero => *dims
                        .get(at)
                        .ok_or_else(|| format!("the shape {wanted:?} copies an axis that {dims:?} lacks"))?,
                    -1 if free.is_none() => {
                        free = Some(at);
                        1
                    }
                    _ => usize::try_from(extent).map_err(|_| format!("the shape {wanted:?} cannot be reached"))?,
                });
            }
            let fail = || format!("{dims:?} cannot be reshaped to {wanted:?}");
            let count = element_count(dims).ok_or_else(fail)?;
            let rest = element_count(&result).ok_or_else(fail)?;
            if let Some(at) = free {
                result[at] = count.checked_div(rest).ok_or_else(fail)?;
            }
            if element_count(&result) == Some(count) { Ok(result) } else { Err(fail()) }
        }
    }
}

/// The permutation of a `Transpose`.
pub(super) fn permutation(node: &Node, rank: usize) -> Result<Vec<usize>, String> {
    let Some(permutation) = node.ints("perm").filter(|permutation| !permutation.is_empty()) else {
        return Ok((0..rank).rev().collect());
    };
    let axes = axes(permutation, rank)?;
    if axes.len() == rank { Ok(axes) } else { Err(format!("the order {permutation:?} does not fit {rank} axes")) }
}

/// Some elements along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub start: usize,
    pub step: isize,
    pub count: usize,
}

impl Range {
    pub fn whole(extent: usize) -> Self {
        Self { start: 0, step: 1, count: extent }
    }
}

/// Inputs after the first as integers.
pub(super) fn optional_ints(inputs: Inputs) -> Vec<Option<Vec<i64>>> {
    inputs.iter().skip(1).map(|input| input.as_deref().map(Array::to_i64)).collect()
}

/// What a `Slice` takes of every axis; `parameters` are its inputs after the first.
pub(super) fn slices(node: &Node, dims: &[usize], parameters: &[Option<Vec<i64>>]) -> Result<Vec<Range>, String> {
    let given = |index: usize, attribute: &str| {
        let input = parameters.get(index).and_then(Option::as_deref);
        input.or_else(|| node.ints(attribute))
    };
    let (Some(starts), Some(ends)) = (given(0, "starts"), given(1, "ends")) else {
        return Err("its starts or ends are missing".into());
    };
    let axes = match given(2, "axes") {
        Some(axes) => self::axes(axes, dims.len())?,
        None => (0..starts.len()).collect(),
    };
    let ones = vec![1; starts.len()];
    let steps = given(3, "steps").unwrap_or(&ones);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&count| count != starts.len()) {
        return Err(format!("it has {} starts and {} ends, axes {axes:?}, steps {steps:?}", starts.len(), ends.len()));
    }
    let mut ranges: Vec<Range> = dims.iter().map(|&extent| Range::whole(extent)).collect();
    for (at, axis) in axes.into_iter().enumerate() {
        let Some(&extent) = dims.get(axis) else { return Err(format!("axis {axis} does not exist")) };
        let extent = extent as i64;
        let wrap = |value: i64| if value < 0 { value.saturating_add(extent) } else { value };
        let (start, end, step) = (wrap(starts[at]), wrap(ends[at]), steps[at]);
        let (start, way) = match step {
            0 => return Err("a step is 0".into()),
            1.. => {
                let start = start.clamp(0, extent);
                (start, end.clamp(0, extent) - start)
            }
            _ => {
                let start = start.clamp(0, (extent - 1).max(0));
                // Only far below zero may the end lie before the first element.
                (start, start - end.clamp(-1, extent - 1))
            }
        };
        let count = if way > 0 && extent > 0 { (way - 1) / step.saturating_abs() + 1 } else { 0 };
        let step = if count > 1 { step as isize } else { 1 };
        ranges[axis] = Range { start: start as usize, step, count: count as usize };
    }
    Ok(ranges)
}

/// The axis of a `Split`, and how much every part takes of it.
pub(super) fn split(node: &Node, dims: &[usize], sizes: Option<&[i64]>) -> Result<(usize, Vec<usize>), String> {
    let axis = axis(node.int("axis", 0), dims.len())?;
    let sizes = match sizes.or_else(|| node.ints("split")) {
        Some(sizes) => extents(sizes)?,
        None => {
            let parts = node.proto.output.len().max(1);
            let size = dims[axis].div_ceil(parts);
            (0..parts).map(|part| dims[axis].saturating_sub(part * size).min(size)).collect()
        }
    };
    if sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)) != Some(dims[axis]) {
        return Err(format!("parts of {sizes:?} do not make up the {} of axis {axis}", dims[axis]));
    }
    Ok((axis, sizes))
}

/// The axes that a reduction goes over, in their order.
pub(super) fn reduced(node: &Node, rank: usize, axes: Option<&[i64]>) -> Result<Vec<usize>, String> {
    let axes = axes.or_else(|| node.ints("axes")).unwrap_or(&[]);
    let mut axes = self::axes(axes, rank)?;
    axes.sort_unstable();
    if axes.is_empty() && node.int("noop_with_empty_axes", 0) == 0 {
        axes = (0..rank).collect();
    }
    Ok(axes)
}

/// The extents after it.
pub(super) fn reduced_dims(node: &Node, dims: &[usize], axes: &[usize]) -> Vec<usize> {
    let keep = node.int("keepdims", 1) != 0;
    let extent = |axis: usize| match axes.contains(&axis) {
        true => keep.then_some(1),
        false => Some(dims[axis]),
    };
    (0..dims.len()).filter_map(extent).collect()
}

/// Before operator set 7, the axis of the first operand at which the second one begins.
pub(super) fn legacy_axis(node: &Node) -> Option<i64> {
    let arithmetic = matches!(node.op(), "Add" | "Sub" | "Mul" | "Div" | "Pow");
    let legacy = node.opset < 7 && arithmetic && node.int("broadcast", 0) != 0;
    legacy.then(|| node.int("axis", i64::MAX))
}

/// The second operand, with axes added behind that make it begin where it should.
pub(super) fn legacy_operand<'a>(array: &'a Array, first: &[usize], axis: Option<i64>) -> Cow<'a, Array> {
    let Some(axis) = axis.and_then(|axis| self::axis(axis, first.len()).ok()) else { return Cow::Borrowed(array) };
    let behind = first.len().saturating_sub(axis + array.dims().len());
    let dims = [array.dims(), &vec![1; behind]].concat();
    array.with_dims(dims).map_or(Cow::Borrowed(array), Cow::Owned)
}
