//! Values that are known when the model is loaded but for the extent of the batch.
//!
//! Where the first axis of the inputs is free, a batch may have any number of elements, N. What the graph computes from N
//! is held as it is for each of `SAMPLES`, and is of one of two kinds:
//! - numbers that are linear in N, such as those that `Shape` gives;
//! - an array whose first axis is the batch, with the same content for every element, such as a class token that
//!   `Expand` repeats.
//!
//! What is of neither kind is no value of a network for all batches, nor is the result of an operator that may treat
//! another N differently than the samples, such as a comparison that holds from some N on.

use std::sync::Arc;

use super::array::{Array, Data};
use super::axis_rules::{self, Range};
use super::constant;
use super::node::Node;
use super::proto::tensor_proto::DataType;
use super::value::{Kind, SAMPLES, Value, Varying};

/// An extent above which a `Slice` does not end: exporters write the largest integer for "all".
pub(super) const ALL: usize = 1 << 30;

/// A value for all batches from what it is for the samples; nothing if it is of neither kind.
pub(super) fn value(arrays: Vec<Array>) -> Option<Value> {
    let at: [Arc<Array>; SAMPLES.len()] = arrays.into_iter().map(Arc::new).collect::<Vec<_>>().try_into().ok()?;
    let first = &at[0];
    if at.iter().all(|array| array == first) {
        return Some(Value::Known(first.clone()));
    }
    let kind = if at.iter().all(|array| array.dims() == first.dims()) {
        is_linear(&at).then_some(Kind::Linear)
    } else {
        let repeats = |(array, n): (&Arc<Array>, usize)| {
            let dims = array.dims();
            let fits = dims.first() == Some(&n) && first.dims().first() == Some(&1) && dims[1..] == first.dims()[1..];
            fits && first.broadcast(dims) == **array
        };
        at.iter().zip(SAMPLES).all(repeats).then_some(Kind::Repeated)
    };
    kind.map(|kind| Value::Varying(Arc::new(Varying { at, kind })))
}

fn is_linear(at: &[Arc<Array>; SAMPLES.len()]) -> bool {
    let [a, b, c] = at;
    match (a.data(), b.data(), c.data()) {
        (Data::I64(a), Data::I64(b), Data::I64(c)) => {
            a.iter().zip(b).zip(c).all(|((a, b), c)| b.wrapping_sub(*a) == c.wrapping_sub(*b))
        }
        (Data::Bool(_), ..) => false,
        _ => {
            let [a, b, c] = [a, b, c].map(|array| array.to_f64());
            a.iter().zip(&b).zip(&c).all(|((a, b), c)| b - a == c - b)
        }
    }
}

/// The values of a node all of whose inputs are known, some of them only for the samples; `None` if constants are not
/// computed for this operator.
pub(super) fn evaluate(node: &Node, inputs: &[Option<Value>]) -> Option<Result<Vec<Value>, String>> {
    let mut samples: Vec<Vec<Array>> = vec![];
    for sample in 0..SAMPLES.len() {
        let known: Vec<Option<Arc<Array>>> = inputs.iter().map(|input| at(input.as_ref()?, sample)).collect();
        match constant::evaluate(node, &known)? {
            Ok(results) => samples.push(results),
            Err(reason) => return Some(Err(reason)),
        }
    }
    if !holds_for_all(node, inputs, &samples) {
        return Some(Err("may treat other batches differently".into()));
    }
    let outputs = samples[0].len();
    if samples.iter().any(|results| results.len() != outputs) {
        return Some(Err("has another number of results for other batches".into()));
    }
    let mut samples: Vec<_> = samples.into_iter().map(Vec::into_iter).collect();
    let results = (0..outputs).map(|_| {
        let arrays = samples.iter_mut().filter_map(Iterator::next).collect();
        value(arrays).ok_or_else(|| "gives what is not in proportion to the batch".into())
    });
    Some(results.collect())
}

/// A known value for one of the samples.
fn at(value: &Value, sample: usize) -> Option<Arc<Array>> {
    match value {
        Value::Known(array) => Some(array.clone()),
        Value::Varying(varying) => Some(varying.at[sample].clone()),
        _ => None,
    }
}

/// Whether an operator does for all batches what it does for the samples, once its results are found to be linear or
/// repeated.
///
/// Sums, products, and what only moves elements always do. For other operators this depends on the values.
fn holds_for_all(node: &Node, inputs: &[Option<Value>], samples: &[Vec<Array>]) -> bool {
    let varying = |index: usize| match inputs.get(index) {
        Some(Some(Value::Varying(varying))) => Some(&**varying),
        _ => None,
    };
    let constant = |index: usize| varying(index).is_none();
    let any_linear = (0..inputs.len()).any(|index| varying(index).is_some_and(Varying::is_linear));
    let float =
        |index: usize| inputs[index].as_ref().and_then(|input| at(input, 0)).is_some_and(|array| array.is_float());
    let whole = || varying(0).is_some_and(Varying::is_whole);
    let differences = |keeps: fn(&Line) -> bool| {
        let [Some(a), Some(b)] = inputs else { return false };
        Line::differences(a, b).is_some_and(|lines| lines.iter().all(keeps))
    };
    match node.op() {
        "Identity" | "Dropout" | "Flatten" | "Reshape" | "Transpose" | "Concat" | "Expand" | "Tile"
        | "ConstantOfShape" | "Shape" | "Size" | "Add" | "Sub" | "Mul" | "Sum" | "Neg" | "MatMul" | "Einsum" => true,
        "Squeeze" | "Unsqueeze" | "ReduceSum" => constant(1),
        "Gather" => varying(1).is_none_or(|indices| !indices.is_linear()),
        "Where" => varying(0).is_none_or(|condition| !condition.is_linear()),
        "Slice" | "Split" => {
            (1..inputs.len()).all(constant) && varying(0).is_none_or(|data| data.keeps_batch(node, inputs))
        }
        "Range" => false,
        // One element after the other, and all are the same for every batch.
        _ if !any_linear => true,
        "Cast" => match i32::try_from(node.int("to", 1)).ok().and_then(|to| DataType::try_from(to).ok()) {
            Some(DataType::Float | DataType::Double) => true,
            Some(DataType::Int64 | DataType::Int32) => whole(),
            _ => false,
        },
        "CastLike" => float(1) || whole(),
        "Floor" | "Ceil" | "Round" => whole(),
        "Div" if float(0) => constant(1),
        "Div" => divides(inputs, samples),
        "Min" | "Max" => differences(|line| line.is_never_below() || line.is_never_above()),
        "Less" | "GreaterOrEqual" => differences(|line| line.is_always_below() || line.is_never_below()),
        "Greater" | "LessOrEqual" => differences(|line| line.is_always_above() || line.is_never_above()),
        "Equal" => differences(|line| line.is_always_zero() || line.is_never_zero()),
        "ReduceMean" => constant(1) && float(0),
        // A product of two linear factors is judged by its result.
        "ReduceProd" => constant(1) && varying(0).is_some_and(|factors| factors.count() <= 2),
        _ => false,
    }
}

/// Whether a division of integers leaves no rest: then quotient times divisor is the dividend for all batches.
fn divides(inputs: &[Option<Value>], samples: &[Vec<Array>]) -> bool {
    let [Some(dividend), Some(divisor)] = inputs else { return false };
    samples.iter().enumerate().all(|(sample, results)| {
        let operands = at(dividend, sample).zip(at(divisor, sample));
        let aligned = operands.and_then(|(dividend, divisor)| constant::aligned(&dividend, &divisor).ok());
        let Some(((dividend, divisor), quotient)) = aligned.zip(results.first()) else { return false };
        let (dividend, divisor, quotient) = (dividend.to_i64(), divisor.to_i64(), quotient.to_i64());
        dividend.iter().zip(divisor).zip(quotient).all(|((n, d), q)| q.checked_mul(d) == Some(*n))
    })
}

impl Varying {
    /// How many elements differ between batches.
    fn count(&self) -> usize {
        let [a, b, ..] = &self.at;
        a.to_f64().iter().zip(b.to_f64()).filter(|(a, b)| **a != *b).count()
    }

    /// Whether all elements are whole numbers for every batch, which they are if they are for two.
    fn is_whole(&self) -> bool {
        let whole = |array: &Arc<Array>| array.to_f64().iter().all(|value| value.fract() == 0.0);
        self.is_linear() && self.at[..2].iter().all(whole)
    }

    /// Whether a node that takes part of an array takes all elements of the batch.
    fn keeps_batch(&self, node: &Node, inputs: &[Option<Value>]) -> bool {
        if self.is_linear() {
            return true;
        }
        let mut dims = self.at[0].dims().to_vec();
        if node.op() == "Split" {
            return axis_rules::axis(node.int("axis", 0), dims.len()).is_ok_and(|axis| axis != 0);
        }
        dims[0] = ALL;
        let known: Vec<Option<Arc<Array>>> = inputs.iter().map(|input| at(input.as_ref()?, 0)).collect();
        let ranges = axis_rules::slices(node, &dims, &axis_rules::optional_ints(&known));
        ranges.is_ok_and(|ranges| ranges[0] == Range::whole(ALL))
    }
}

/// A number that is linear in the batch: its value for a batch of one, and how much it grows with every element.
struct Line {
    first: f64,
    step: f64,
}

impl Line {
    /// The differences of two arrays' elements after broadcasting.
    fn differences(a: &Value, b: &Value) -> Option<Vec<Self>> {
        let difference = |sample: usize| {
            let (a, b) = constant::aligned(&*at(a, sample)?, &*at(b, sample)?).ok()?;
            Some(a.to_f64().into_iter().zip(b.to_f64()).map(|(a, b)| a - b).collect::<Vec<f64>>())
        };
        let (first, second) = (difference(0)?, difference(1)?);
        let lines = first.iter().zip(&second).map(|(&first, second)| Self { first, step: second - first });
        (first.len() == second.len()).then(|| lines.collect())
    }

    fn is_always_below(&self) -> bool {
        self.first < 0.0 && self.step <= 0.0
    }

    fn is_always_above(&self) -> bool {
        self.first > 0.0 && self.step >= 0.0
    }

    fn is_never_below(&self) -> bool {
        self.first >= 0.0 && self.step >= 0.0
    }

    fn is_never_above(&self) -> bool {
        self.first <= 0.0 && self.step <= 0.0
    }

    fn is_always_zero(&self) -> bool {
        self.first == 0.0 && self.step == 0.0
    }

    fn is_never_zero(&self) -> bool {
        let after = -self.first / self.step;
        if self.step == 0.0 { self.first != 0.0 } else { after < 0.0 || after.fract() != 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(of: impl Fn(i64) -> (Vec<usize>, Vec<i64>)) -> Option<Value> {
        let array = |n: usize| {
            let (dims, values) = of(n as i64);
            Array::new(dims, values).unwrap()
        };
        value(SAMPLES.map(array).to_vec())
    }

    #[test]
    fn values_are_the_same_linear_or_repeated() {
        let kind = |value: Option<Value>| match value {
            Some(Value::Known(_)) => "same",
            Some(Value::Varying(varying)) if varying.is_linear() => "linear",
            Some(Value::Varying(_)) => "repeated",
            _ => "neither",
        };
        assert_eq!(kind(samples(|_| (vec![2], vec![4, 5]))), "same");
        assert_eq!(kind(samples(|n| (vec![2], vec![3 * n - 7, 5]))), "linear");
        assert_eq!(kind(samples(|n| (vec![1], vec![n * n]))), "neither");
        assert_eq!(kind(samples(|n| (vec![n as usize, 2], [4, 5].repeat(n as usize)))), "repeated");
        assert_eq!(kind(samples(|n| (vec![n as usize, 2], [4, n].repeat(n as usize)))), "neither");
        assert_eq!(kind(samples(|n| (vec![n as usize], (0..n).collect()))), "neither");
        assert_eq!(kind(samples(|n| (vec![2 * n as usize], [4, 4].repeat(n as usize)))), "neither");
        assert_eq!(kind(samples(|n| (vec![2, n as usize], [4, 4].repeat(n as usize)))), "neither");
    }

    #[test]
    fn comparisons_hold_for_every_batch_or_not() {
        let line = |first: f64, step: f64| Line { first, step };
        // N - 5 is 0 for five, 2N - 5 never is, and nor is N + 1.
        assert!(!line(-4.0, 1.0).is_never_zero() && !line(0.0, 1.0).is_never_zero());
        assert!(line(-3.0, 2.0).is_never_zero() && line(2.0, 1.0).is_never_zero() && line(1.0, 0.0).is_never_zero());
        assert!(line(0.0, 0.0).is_always_zero() && !line(0.0, 1.0).is_always_zero());
        // N - 1 is never below 0, and is above it for some batches only.
        assert!(
            line(0.0, 1.0).is_never_below() && !line(0.0, 1.0).is_always_above() && !line(0.0, 1.0).is_never_above()
        );
        // 8 - N is above 0 for the samples, but not for all batches.
        assert!(!line(7.0, -1.0).is_always_above() && !line(7.0, -1.0).is_never_below());
        assert!(
            line(-1.0, -1.0).is_always_below()
                && line(0.0, -1.0).is_never_above()
                && !line(0.0, -1.0).is_always_below()
        );
    }
}
