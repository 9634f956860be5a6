//! Operators on constants, as far as the arithmetic of shapes and weights needs them.
//!
//! Numbers are held as [`Array`] has them: f16 and bf16 as f32, all integers as i64, and integers wrap around.

use std::sync::Arc;

use super::array::{Array, Data};
use super::axis_rules::{self, Range};
use super::node::Node;
use super::proto::tensor_proto::DataType;
use crate::tensor::element_count;

/// Nothing that is larger than its inputs may have more elements than this.
const MAX_MADE: usize = 1 << 24;
/// Nor may a product need more multiplications.
const MAX_PRODUCTS: usize = 1 << 30;

type Inputs<'a> = &'a [Option<Arc<Array>>];

/// The values of a node all of whose inputs are known; `None` if constants are not computed for this operator.
pub(super) fn evaluate(node: &Node, inputs: Inputs) -> Option<Result<Vec<Array>, String>> {
    let input = |index: usize| {
        inputs.get(index).and_then(Option::as_deref).ok_or_else(|| format!("its input {index} is missing"))
    };
    let one = |array: Result<Array, String>| Some(array.map(|array| vec![array]));
    let unary = |f: fn(f64) -> f64, int: Option<fn(i64) -> i64>| one(input(0).and_then(|array| map(array, f, int)));
    match node.op() {
        "Constant" => one(node.constant()),
        "Identity" | "Dropout" => one(input(0).cloned()),
        "CastLike" => one(input(0).and_then(|array| Ok(array.like(input(1)?)))),
        "Cast" => one(input(0).and_then(|array| cast(array, node.int("to", 1)))),
        "Shape" | "Size" => one(input(0).and_then(|array| shape(node, array.dims()))),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => one(input(0).and_then(|array| {
            let second = inputs.get(1).and_then(Option::as_deref).map(Array::to_i64);
            let dims = axis_rules::reshaped(node, array.dims(), second.as_deref())?;
            array.with_dims(dims).ok_or_else(|| "the number of elements changes".into())
        })),
        "Transpose" => {
            one(input(0).and_then(|array| Ok(array.permuted(&axis_rules::permutation(node, array.dims().len())?))))
        }
        "Concat" => one(concat(node, inputs)),
        "Gather" => one(input(0).and_then(|array| gather(array, input(1)?, node.int("axis", 0)))),
        "Slice" => one(input(0).and_then(|array| {
            let ranges = axis_rules::slices(node, array.dims(), &axis_rules::optional_ints(inputs))?;
            Ok(slice(array, &ranges))
        })),
        "Split" => Some(input(0).and_then(|array| {
            let sizes = inputs.get(1).and_then(Option::as_deref).map(Array::to_i64);
            let (axis, sizes) = axis_rules::split(node, array.dims(), sizes.as_deref())?;
            let mut start = 0;
            let part = |count: usize| {
                let mut ranges: Vec<Range> = array.dims().iter().map(|&extent| Range::whole(extent)).collect();
                ranges[axis] = Range { start, step: 1, count };
                start += count;
                slice(array, &ranges)
            };
            Ok(sizes.into_iter().map(part).collect())
        })),
        "Expand" => one(input(0).and_then(|array| {
            let wanted = axis_rules::extents(&input(1)?.to_i64())?;
            let dims = axis_rules::broadcast(array.dims(), &wanted)?;
            made(&dims)?;
            Ok(array.broadcast(&dims))
        })),
        "Tile" => one(input(0).and_then(|array| tile(array, &input(1)?.to_i64()))),
        "ConstantOfShape" => one(input(0).and_then(|array| {
            let dims = axis_rules::extents(&array.to_i64())?;
            made(&dims)?;
            let value = match node.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
                Some(tensor) => Array::of(tensor)?,
                None => Array::ints(vec![0]).map_kind(|_| Data::F32(vec![0.0])),
            };
            if value.data().len() != 1 {
                return Err("its value is not a single number".into());
            }
            Ok(value.strided(&dims, 0, &vec![0; dims.len()]))
        })),
        "Range" => one(input(0).and_then(|start| range(start, input(1)?, input(2)?))),
        "Where" => one(input(0).and_then(|condition| choose(condition, input(1)?, input(2)?))),
        "Not" => {
            one(input(0).map(|array| array.map_kind(|data| Data::Bool(as_bool(data).iter().map(|b| !b).collect()))))
        }
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Sum" => {
            let mut all = inputs.iter().flatten();
            let first = all.next().ok_or_else(|| "it has no inputs".to_string());
            let axis = axis_rules::legacy_axis(node);
            one(first.and_then(|first| {
                all.try_fold(Array::clone(first), |a, b| {
                    let b = axis_rules::legacy_operand(b, a.dims(), axis);
                    arithmetic(node, &a, &b)
                })
            }))
        }
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
            one(input(0).and_then(|a| compare(node.op(), a, input(1)?)))
        }
        "Neg" => unary(|x| -x, Some(i64::wrapping_neg)),
        "Abs" => unary(f64::abs, Some(i64::wrapping_abs)),
        "Sign" => unary(|x| if x == 0.0 { 0.0 } else { x.signum() }, Some(i64::signum)),
        "Floor" => unary(f64::floor, None),
        "Ceil" => unary(f64::ceil, None),
        "Round" => unary(f64::round_ties_even, None),
        "Sqrt" => unary(f64::sqrt, None),
        "Exp" => unary(f64::exp, None),
        "Log" => unary(f64::ln, None),
        "Reciprocal" => unary(f64::recip, None),
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceMean" => one(input(0).and_then(|array| {
            let axes = inputs.get(1).and_then(Option::as_deref).map(Array::to_i64);
            reduce(node, array, axes.as_deref())
        })),
        "Einsum" => one(node_equation(node).and_then(|equation| einsum(&equation, inputs))),
        "MatMul" => one(input(0).and_then(|a| matmul(a, input(1)?))),
        _ => None,
    }
}

impl Array {
    /// The same numbers as another array holds them.
    fn like(&self, other: &Self) -> Self {
        self.map_kind(|_| match other.data() {
            Data::F32(_) => Data::F32(self.to_f32()),
            Data::F64(_) => Data::F64(self.to_f64()),
            Data::I64(_) => Data::I64(self.to_i64()),
            Data::Bool(_) => Data::Bool(self.to_bool()),
        })
    }

    /// The same extents around other elements, of which there must be as many.
    fn map_kind(&self, f: impl FnOnce(&Data) -> Data) -> Self {
        Self::new(self.dims(), f(self.data())).expect("as many elements as before")
    }
}

fn as_bool(data: &Data) -> Vec<bool> {
    Array::new([data.len()], data.clone()).map_or(vec![], |array| array.to_bool())
}

fn scalar(value: i64) -> Array {
    Array::ints(vec![value]).with_dims([]).expect("one element")
}

/// Checks that a result of these extents may be made.
fn made(dims: &[usize]) -> Result<(), String> {
    match element_count(dims) {
        Some(count) if count <= MAX_MADE => Ok(()),
        _ => Err(format!("a constant of shape {dims:?} is too large")),
    }
}

/// Numbers of the kind of `like`, from f64.
fn floats(like: &Array, values: Vec<f64>) -> Data {
    match like.data() {
        Data::F64(_) => Data::F64(values),
        _ => Data::F32(values.into_iter().map(|value| value as f32).collect()),
    }
}

fn map(array: &Array, f: fn(f64) -> f64, int: Option<fn(i64) -> i64>) -> Result<Array, String> {
    match (array.data(), int) {
        (Data::I64(values), Some(f)) => {
            Ok(array.map_kind(|_| Data::I64(values.iter().map(|&value| f(value)).collect())))
        }
        _ if array.is_float() => {
            let values = array.to_f64().into_iter().map(f).collect();
            Ok(array.map_kind(|_| floats(array, values)))
        }
        _ => Err("it takes floats".into()),
    }
}

fn cast(array: &Array, to: i64) -> Result<Array, String> {
    let kind = i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok());
    let narrow = |low: i64, high: i64| {
        let range = i128::from(high) - i128::from(low) + 1;
        let wrap = |value: i64| ((i128::from(value) - i128::from(low)).rem_euclid(range) + i128::from(low)) as i64;
        Data::I64(array.to_i64().into_iter().map(wrap).collect())
    };
    let data = match kind {
        Some(DataType::Float | DataType::Float16 | DataType::Bfloat16) => Data::F32(array.to_f32()),
        Some(DataType::Double) => Data::F64(array.to_f64()),
        Some(DataType::Int64 | DataType::Uint64) => Data::I64(array.to_i64()),
        Some(DataType::Int32) => narrow(i32::MIN.into(), i32::MAX.into()),
        Some(DataType::Uint32) => narrow(0, u32::MAX.into()),
        Some(DataType::Int16) => narrow(i16::MIN.into(), i16::MAX.into()),
        Some(DataType::Uint16) => narrow(0, u16::MAX.into()),
        Some(DataType::Int8) => narrow(i8::MIN.into(), i8::MAX.into()),
        Some(DataType::Uint8) => narrow(0, u8::MAX.into()),
        Some(DataType::Bool) => Data::Bool(array.to_bool()),
        _ => return Err(format!("the element type {to} is not supported")),
    };
    Ok(array.map_kind(|_| data))
}

/// What `Shape` or `Size` gives for a value of these extents.
pub(super) fn shape(node: &Node, dims: &[usize]) -> Result<Array, String> {
    if node.op() == "Size" {
        return Ok(scalar(dims.iter().product::<usize>() as i64));
    }
    let rank = dims.len() as i64;
    let bound = |value: i64| if value < 0 { value.saturating_add(rank) } else { value }.clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    Ok(Array::ints(dims[start..end.max(start)].iter().map(|&extent| extent as i64).collect()))
}

fn concat(node: &Node, inputs: Inputs) -> Result<Array, String> {
    let arrays: Vec<&Array> = inputs.iter().flatten().map(|array| &**array).collect();
    let Some(first) = arrays.first() else { return Err("it has no inputs".into()) };
    let axis = axis_rules::axis(node.int("axis", 1), first.dims().len())?;
    let mut dims = first.dims().to_vec();
    dims[axis] = 0;
    for array in &arrays {
        let fits = array.dims().len() == dims.len();
        if !fits || (0..dims.len()).any(|at| at != axis && array.dims()[at] != dims[at]) {
            return Err(format!("{:?} and {:?} cannot be joined along axis {axis}", first.dims(), array.dims()));
        }
        dims[axis] += array.dims()[axis];
    }
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    fn join<T: Copy>(parts: &[(usize, Vec<T>)], outer: usize) -> Vec<T> {
        let rows =
            (0..outer).flat_map(|row| parts.iter().map(move |(length, values)| &values[row * length..][..*length]));
        rows.flatten().copied().collect()
    }
    let length = |array: &&Array| array.dims()[axis] * inner;
    let data = match first.data() {
        Data::F32(_) => Data::F32(join(&arrays.iter().map(|a| (length(a), a.to_f32())).collect::<Vec<_>>(), outer)),
        Data::F64(_) => Data::F64(join(&arrays.iter().map(|a| (length(a), a.to_f64())).collect::<Vec<_>>(), outer)),
        Data::I64(_) => Data::I64(join(&arrays.iter().map(|a| (length(a), a.to_i64())).collect::<Vec<_>>(), outer)),
        Data::Bool(_) => Data::Bool(join(&arrays.iter().map(|a| (length(a), a.to_bool())).collect::<Vec<_>>(), outer)),
    };
    Array::new(dims, data).ok_or_else(|| "its inputs do not fit".into())
}

fn gather(array: &Array, indices: &Array, axis: i64) -> Result<Array, String> {
    let axis = axis_rules::axis(axis, array.dims().len())?;
    let extent = array.dims()[axis];
    let picked = axis_rules::indices(&indices.to_i64(), extent)?;
    let dims = [&array.dims()[..axis], indices.dims(), &array.dims()[axis + 1..]].concat();
    made(&dims)?;
    let outer: usize = array.dims()[..axis].iter().product();
    let inner: usize = array.dims()[axis + 1..].iter().product();
    let picked = &picked;
    let order = (0..outer).flat_map(|row| {
        picked.iter().flat_map(move |&index| {
            let start = (row * extent + index) * inner;
            start..start + inner
        })
    });
    let data = match array.data() {
        Data::F32(values) => Data::F32(order.map(|at| values[at]).collect()),
        Data::F64(values) => Data::F64(order.map(|at| values[at]).collect()),
        Data::I64(values) => Data::I64(order.map(|at| values[at]).collect()),
        Data::Bool(values) => Data::Bool(order.map(|at| values[at]).collect()),
    };
    Array::new(dims, data).ok_or_else(|| "its indices do not fit".into())
}

fn slice(array: &Array, ranges: &[Range]) -> Array {
    let strides = array.strides();
    let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
    let offset = ranges.iter().zip(&strides).map(|(range, stride)| range.start as isize * stride).sum();
    let strides: Vec<isize> = ranges.iter().zip(&strides).map(|(range, stride)| range.step * stride).collect();
    array.strided(&dims, offset, &strides)
}

fn tile(array: &Array, repeats: &[i64]) -> Result<Array, String> {
    let repeats = axis_rules::extents(repeats)?;
    if repeats.len() != array.dims().len() {
        return Err(format!("{} repeats do not fit {} axes", repeats.len(), array.dims().len()));
    }
    let (mut wide, mut source) = (vec![], vec![]);
    let mut dims = vec![];
    for (&extent, &repeat) in array.dims().iter().zip(&repeats) {
        wide.extend([repeat, extent]);
        source.extend([1, extent]);
        dims.push(extent.checked_mul(repeat).ok_or("the result is too large")?);
    }
    made(&dims)?;
    let source = array.with_dims(source).ok_or("its extents do not fit")?;
    source.broadcast(&wide).with_dims(dims).ok_or_else(|| "its extents do not fit".into())
}

fn range(start: &Array, limit: &Array, delta: &Array) -> Result<Array, String> {
    if [start, limit, delta].iter().any(|array| array.data().len() != 1) {
        return Err("start, limit and delta must be single numbers".into());
    }
    let [a, b, step] = [start, limit, delta].map(|array| array.to_f64()[0]);
    let count = ((b - a) / step).ceil().max(0.0);
    if !count.is_finite() || count > MAX_MADE as f64 {
        return Err(format!("a range from {a} to {b} in steps of {step} is too long"));
    }
    let count = count as usize;
    let data = if start.is_float() {
        floats(start, (0..count).map(|index| a + index as f64 * step).collect())
    } else {
        let (a, step) = (start.to_i64()[0], delta.to_i64()[0]);
        Data::I64((0..count).map(|index| a.wrapping_add(step.wrapping_mul(index as i64))).collect())
    };
    Array::new([count], data).ok_or_else(|| "its length does not fit".into())
}

fn choose(condition: &Array, a: &Array, b: &Array) -> Result<Array, String> {
    let dims = axis_rules::broadcast(&axis_rules::broadcast(condition.dims(), a.dims())?, b.dims())?;
    made(&dims)?;
    let condition = condition.broadcast(&dims).to_bool();
    let (a, b) = (a.broadcast(&dims), b.broadcast(&dims));
    fn pick<T: Copy>(condition: &[bool], a: &[T], b: &[T]) -> Vec<T> {
        condition.iter().zip(a.iter().zip(b)).map(|(&first, (&a, &b))| if first { a } else { b }).collect()
    }
    let data = match a.data() {
        Data::F32(values) => Data::F32(pick(&condition, values, &b.to_f32())),
        Data::F64(values) => Data::F64(pick(&condition, values, &b.to_f64())),
        Data::I64(values) => Data::I64(pick(&condition, values, &b.to_i64())),
        Data::Bool(values) => Data::Bool(pick(&condition, values, &b.to_bool())),
    };
    Array::new(dims, data).ok_or_else(|| "its inputs do not fit".into())
}

/// Two operands repeated to their common extents.
pub(super) fn aligned(a: &Array, b: &Array) -> Result<(Array, Array), String> {
    let dims = axis_rules::broadcast(a.dims(), b.dims())?;
    if dims != a.dims() && dims != b.dims() {
        made(&dims)?;
    }
    let repeat = |array: &Array| if array.dims() == dims { array.clone() } else { array.broadcast(&dims) };
    Ok((repeat(a), repeat(b)))
}

fn arithmetic(node: &Node, a: &Array, b: &Array) -> Result<Array, String> {
    let (a, b) = aligned(a, b)?;
    if let (Data::I64(x), Data::I64(y)) = (a.data(), b.data()) {
        let fmod = node.int("fmod", 0) != 0;
        let f = |x: i64, y: i64| -> Option<i64> {
            Some(match node.op() {
                "Add" | "Sum" => x.wrapping_add(y),
                "Sub" => x.wrapping_sub(y),
                "Mul" => x.wrapping_mul(y),
                "Div" => x.checked_div(y)?,
                "Mod" if fmod => x.checked_rem(y)?,
                // With the sign of the divisor, as in Python.
                "Mod" => {
                    let rest = x.checked_rem(y)?;
                    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
                }
                "Pow" => x.checked_pow(u32::try_from(y).ok()?)?,
                "Min" => x.min(y),
                _ => x.max(y),
            })
        };
        let values: Option<Vec<i64>> = x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect();
        let values = values.ok_or("it divides by zero, or overflows")?;
        return Ok(a.map_kind(|_| Data::I64(values)));
    }
    if !a.is_float() {
        return Err("its inputs are of different types".into());
    }
    let f = |x: f64, y: f64| match node.op() {
        "Add" | "Sum" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        "Div" => x / y,
        "Mod" => x % y,
        "Pow" => x.powf(y),
        "Min" => extreme(x, y, y < x),
        _ => extreme(x, y, y > x),
    };
    let values = a.to_f64().into_iter().zip(b.to_f64()).map(|(x, y)| f(x, y)).collect();
    Ok(a.map_kind(|_| floats(&a, values)))
}

/// The one of two numbers that is wanted: NaN where either is, as ONNX has it.
fn extreme(x: f64, y: f64, takes_y: bool) -> f64 {
    if y.is_nan() || (takes_y && !x.is_nan()) { y } else { x }
}

fn compare(op: &str, a: &Array, b: &Array) -> Result<Array, String> {
    let (a, b) = aligned(a, b)?;
    let values: Vec<bool> = if let (Data::I64(x), Data::I64(y)) = (a.data(), b.data()) {
        x.iter().zip(y).map(|(x, y)| ordered(op, x.cmp(y))).collect()
    } else if a.is_float() {
        let order = |(x, y): (f64, f64)| x.partial_cmp(&y).is_some_and(|order| ordered(op, order));
        a.to_f64().into_iter().zip(b.to_f64()).map(order).collect()
    } else {
        let logic = |(x, y): (bool, bool)| match op {
            "And" => x && y,
            "Or" => x || y,
            "Xor" => x != y,
            _ => x == y,
        };
        a.to_bool().into_iter().zip(b.to_bool()).map(logic).collect()
    };
    Ok(a.map_kind(|_| Data::Bool(values)))
}

fn ordered(op: &str, order: std::cmp::Ordering) -> bool {
    match op {
        "Less" => order.is_lt(),
        "Greater" => order.is_gt(),
        "LessOrEqual" => order.is_le(),
        "GreaterOrEqual" => order.is_ge(),
        _ => order.is_eq(),
    }
}

fn reduce(node: &Node, array: &Array, axes: Option<&[i64]>) -> Result<Array, String> {
    let rank = array.dims().len();
    let axes = axis_rules::reduced(node, rank, axes)?;
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
    let length: usize = axes.iter().map(|&axis| array.dims()[axis]).product();
    let sorted = array.permuted(&order);
    let dims = axis_rules::reduced_dims(node, array.dims(), &axes);
    if length == 0 {
        return Err("it has nothing to reduce".into());
    }
    let op = node.op();
    if let Data::I64(values) = sorted.data() {
        let f = |row: &[i64]| match op {
            "ReduceProd" => row.iter().fold(1i64, |a, &b| a.wrapping_mul(b)),
            "ReduceMax" => row.iter().copied().max().unwrap_or(0),
            "ReduceMin" => row.iter().copied().min().unwrap_or(0),
            "ReduceMean" => row.iter().fold(0i64, |a, &b| a.wrapping_add(b)) / row.len() as i64,
            _ => row.iter().fold(0i64, |a, &b| a.wrapping_add(b)),
        };
        let values: Vec<i64> = values.chunks_exact(length).map(f).collect();
        return Array::new(dims, values).ok_or_else(|| "its axes do not fit".into());
    }
    let f = |row: &[f64]| match op {
        "ReduceProd" => row.iter().product(),
        "ReduceMax" => row.iter().copied().fold(f64::NEG_INFINITY, |x, y| extreme(x, y, y > x)),
        "ReduceMin" => row.iter().copied().fold(f64::INFINITY, |x, y| extreme(x, y, y < x)),
        "ReduceMean" => row.iter().sum::<f64>() / row.len() as f64,
        _ => row.iter().sum(),
    };
    let values = sorted.to_f64().chunks_exact(length).map(f).collect();
    Array::new(dims, floats(array, values)).ok_or_else(|| "its axes do not fit".into())
}

fn node_equation(node: &Node) -> Result<String, String> {
    let text: String = node.text("equation", "").chars().filter(|letter| !letter.is_whitespace()).collect();
    if text.is_empty() { Err("it has no equation".into()) } else { Ok(text) }
}

/// The letters of an equation with two operands: theirs and the result's.
pub(super) fn letters(equation: &str) -> Option<[Vec<char>; 3]> {
    let equation: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (operands, result) = equation.split_once("->")?;
    let (a, b) = operands.split_once(',')?;
    let parts = [a, b, result].map(|part| part.chars().collect::<Vec<char>>());
    let plain = parts.iter().all(|part| {
        part.iter().all(|letter| letter.is_ascii_alphabetic())
            && part.iter().enumerate().all(|(at, letter)| !part[..at].contains(letter))
    });
    plain.then_some(parts)
}

fn einsum(equation: &str, inputs: Inputs) -> Result<Array, String> {
    let unsupported = || format!("the equation `{equation}` is not supported");
    let [a_letters, b_letters, out] = letters(equation).ok_or_else(unsupported)?;
    let [Some(a), Some(b)] = inputs else { return Err(unsupported()) };
    if a_letters.len() != a.dims().len() || b_letters.len() != b.dims().len() {
        return Err(format!("`{equation}` does not fit {:?} and {:?}", a.dims(), b.dims()));
    }
    let mut summed: Vec<char> = vec![];
    for letter in a_letters.iter().chain(&b_letters) {
        if !out.contains(letter) && !summed.contains(letter) {
            summed.push(*letter);
        }
    }
    let order: Vec<char> = out.iter().chain(&summed).copied().collect();
    let place = |letters: &[char], array: &Array, letter: char| -> Option<(usize, isize)> {
        let at = letters.iter().position(|own| *own == letter)?;
        Some((array.dims()[at], array.strides()[at]))
    };
    let (mut dims, mut a_strides, mut b_strides) = (vec![], vec![], vec![]);
    for &letter in &order {
        let (of_a, of_b) = (place(&a_letters, a, letter), place(&b_letters, b, letter));
        let extent = match (of_a, of_b) {
            (Some((a, _)), Some((b, _))) if a != b => {
                return Err(format!("`{letter}` of `{equation}` is {a} and {b}"));
            }
            (Some((extent, _)), _) | (_, Some((extent, _))) => extent,
            (None, None) => return Err(unsupported()),
        };
        dims.push(extent);
        a_strides.push(of_a.map_or(0, |(_, stride)| stride));
        b_strides.push(of_b.map_or(0, |(_, stride)| stride));
    }
    products(a, b, &dims, &a_strides, &b_strides, out.len())
}

fn matmul(a: &Array, b: &Array) -> Result<Array, String> {
    let mismatch = || format!("{:?} and {:?} cannot be multiplied", a.dims(), b.dims());
    let wide = |array: &Array, row: bool| match array.dims() {
        [] => None,
        [n] => array.with_dims(if row { [1, *n] } else { [*n, 1] }),
        _ => Some(array.clone()),
    };
    let (wide_a, wide_b) = (wide(a, true).ok_or_else(mismatch)?, wide(b, false).ok_or_else(mismatch)?);
    let (a_lead, [rows, inner]) = wide_a.dims().split_last_chunk::<2>().ok_or_else(mismatch)?;
    let (b_lead, [inner_b, columns]) = wide_b.dims().split_last_chunk::<2>().ok_or_else(mismatch)?;
    if inner != inner_b {
        return Err(mismatch());
    }
    let lead = axis_rules::broadcast(a_lead, b_lead)?;
    made(&[lead.as_slice(), &[*rows, *inner]].concat())?;
    made(&[lead.as_slice(), &[*columns, *inner]].concat())?;
    let a_full = wide_a.broadcast(&[lead.as_slice(), &[*rows, *inner]].concat());
    let b_full = wide_b.broadcast(&[lead.as_slice(), &[*inner, *columns]].concat());
    let dims = [lead.as_slice(), &[*rows, *columns, *inner]].concat();
    let lead_strides = |array: &Array| array.strides()[..lead.len()].to_vec();
    let a_strides = [lead_strides(&a_full), vec![*inner as isize, 0, 1]].concat();
    let b_strides = [lead_strides(&b_full), vec![0, 1, *columns as isize]].concat();
    let full = products(&a_full, &b_full, &dims, &a_strides, &b_strides, dims.len() - 1)?;
    let mut dims = lead;
    dims.extend((a.dims().len() > 1).then_some(*rows));
    dims.extend((b.dims().len() > 1).then_some(*columns));
    full.with_dims(dims).ok_or_else(mismatch)
}

/// The sums of products over all axes after the first `kept`.
fn products(
    a: &Array,
    b: &Array,
    dims: &[usize],
    a_strides: &[isize],
    b_strides: &[isize],
    kept: usize,
) -> Result<Array, String> {
    if element_count(dims).is_none_or(|count| count > MAX_PRODUCTS) {
        return Err(format!("a product over {dims:?} is too large to be computed when the model is loaded"));
    }
    made(&dims[..kept])?;
    let (outer, inner) = dims.split_at(kept);
    // One row of the result at a time, so that nothing larger than the result is ever held.
    let (x, y) = (a.to_f64(), b.to_f64());
    let base = |strides: &[isize]| super::array::offsets(outer, &strides[..kept]);
    let steps: Vec<(usize, usize)> = super::array::offsets(inner, &a_strides[kept..])
        .into_iter()
        .zip(super::array::offsets(inner, &b_strides[kept..]))
        .collect();
    let sums = base(a_strides).into_iter().zip(base(b_strides));
    let values: Vec<f64> =
        sums.map(|(i, j)| steps.iter().map(|&(di, dj)| x[i + di] * y[j + dj]).sum::<f64>()).collect();
    let data = match (a.data(), b.data()) {
        (Data::I64(_), Data::I64(_)) => Data::I64(values.iter().map(|&value| value as i64).collect()),
        _ => floats(a, values),
    };
    Array::new(outer, data).ok_or_else(|| "its operands do not fit".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_with_nan_are_nan() {
        let row = [1.0, f64::NAN, 3.0, -2.0];
        let of =
            |row: &[f64], takes: fn(f64, f64) -> bool| row.iter().copied().reduce(|x, y| extreme(x, y, takes(x, y)));
        assert!(of(&row, |x, y| y > x).unwrap().is_nan() && of(&row, |x, y| y < x).unwrap().is_nan());
        assert_eq!((of(&row[2..], |x, y| y > x), of(&row[2..], |x, y| y < x)), (Some(3.0), Some(-2.0)));
    }
}
