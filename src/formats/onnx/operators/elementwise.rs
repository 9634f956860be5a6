//! Functions of single elements, and arithmetic with broadcasting.

use super::super::array::Array;
use super::super::axis_rules;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Run, Stop, Value};
use super::{Values, one};
use crate::Tensor;
use crate::network::{Activation, BatchNorm, Op};

impl Importer<'_> {
    pub(super) fn activation(&mut self, node: &Node, activation: Activation) -> Values {
        let run = self.run(node, 0)?;
        let result = self.emit(&self.name(node), Op::Activation(activation), &[&run], vec![])?;
        one(result.with(run.dims))
    }

    pub(super) fn clip(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        let bound = |index: usize, attribute: &str| -> Result<Option<f32>, Stop> {
            let given = match self.known(node, index)? {
                Some(array) => array.to_f32().first().copied(),
                None => node.attribute(attribute).map(|attribute| attribute.f()),
            };
            Ok(given)
        };
        let activation = bounded(bound(1, "min")?, bound(2, "max")?)?;
        let Some(activation) = activation else { return one(run) };
        let result = self.emit(&self.name(node), Op::Activation(activation), &[&run], vec![])?;
        one(result.with(run.dims))
    }

    /// `Min` and `Max` with a constant.
    pub(super) fn bound(&mut self, node: &Node) -> Values {
        let (mut run, mut limit, mut single) = (None, None, None);
        for index in 0..node.proto.input.len() {
            match self.value(node, index) {
                Some(Value::Run(value)) if run.is_none() => run = Some(value),
                Some(Value::Known(array)) if array.data().len() == 1 && limit.is_none() => {
                    limit = array.to_f32().first().copied();
                    single = Some(array);
                }
                _ => return Err("only the bound of a single value by a single constant is supported".into()),
            }
        }
        let mut run = run.ok_or("it has no input")?;
        if let Some(single) = single {
            run = self.widened(node, run, &single)?;
        }
        let activation = if node.op() == "Min" { bounded(None, limit)? } else { bounded(limit, None)? };
        let Some(activation) = activation else { return one(run) };
        let result = self.emit(&self.name(node), Op::Activation(activation), &[&run], vec![])?;
        one(result.with(run.dims))
    }

    /// A value with the axes that it has after arithmetic with a single number, which may have more of them.
    fn widened(&self, node: &Node, run: Run, single: &Array) -> Result<Run, Stop> {
        if self.batched && single.dims().len() > run.rank() {
            return Err(self.mixes(node));
        }
        let dims = axis_rules::broadcast(&run.dims, single.dims())?;
        Ok(run.with(dims))
    }

    pub(super) fn negate(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        one(self.scaled(node, &run, -1.0)?)
    }

    /// A value times a number.
    pub(super) fn scaled(&mut self, node: &Node, run: &Run, factor: f32) -> Result<Run, Stop> {
        let factor = Array::new([], vec![factor]).ok_or("it has no factor")?;
        let factor = self.constant_map(node, &factor, [1; 4])?;
        let result = self.emit(&self.name(node), Op::Mul, &[run, &factor], vec![])?;
        Ok(result.with(run.dims.clone()))
    }

    pub(super) fn power(&mut self, node: &Node) -> Values {
        let exponent = self.known(node, 1)?.ok_or("its exponent is missing")?;
        let run = self.run(node, 0)?;
        match exponent.to_f64()[..] {
            [1.0] => one(self.widened(node, run, &exponent)?),
            [2.0] => {
                let run = self.widened(node, run, &exponent)?;
                let result = self.emit(&self.name(node), Op::Mul, &[&run, &run], vec![])?;
                one(result.with(run.dims))
            }
            _ => Err("only squares are supported".into()),
        }
    }

    pub(super) fn arithmetic(&mut self, node: &Node) -> Values {
        let mut result = self.value(node, 0).ok_or("it has no inputs")?;
        if node.proto.input.len() == 1 {
            return Ok(vec![result]);
        }
        for index in 1..node.proto.input.len() {
            let next = self.value(node, index).ok_or("an input is missing")?;
            result = Value::Run(self.pair(node, result, next)?);
        }
        Ok(vec![result])
    }

    fn pair(&mut self, node: &Node, mut a: Value, mut b: Value) -> Result<Run, Stop> {
        let op = match node.op() {
            "Sub" => Op::Sub,
            "Mul" => Op::Mul,
            "Div" => Op::Div,
            "PRelu" => Op::Prelu,
            _ => Op::Add,
        };
        let dims_of = |value: &Value| match value {
            Value::Run(run) => run.dims.clone(),
            Value::Known(array) => array.dims().to_vec(),
            _ => vec![],
        };
        let (mut a_dims, mut b_dims) = (dims_of(&a), dims_of(&b));
        self.one_of_batch(&mut a, &mut a_dims, b_dims.len());
        self.one_of_batch(&mut b, &mut b_dims, a_dims.len());
        // Before operator set 7 the second operand may begin at an axis, or is one slope for every channel.
        let behind = if op == Op::Prelu && node.opset < 7 && b_dims.len() == 1 && b_dims[0] > 1 {
            a_dims.len().saturating_sub(2)
        } else {
            let axis = axis_rules::legacy_axis(node).and_then(|axis| axis_rules::axis(axis, a_dims.len()).ok());
            axis.map_or(0, |axis| a_dims.len().saturating_sub(axis + b_dims.len()))
        };
        b_dims.extend(vec![1; behind]);
        let dims = axis_rules::broadcast(&a_dims, &b_dims)?;
        let wide = |dims_of: &[usize]| [vec![1; dims.len() - dims_of.len()], dims_of.to_vec()].concat();
        if self.batched {
            for (value, own) in [(&a, &a_dims), (&b, &b_dims)] {
                let aligned = match value {
                    Value::Run(_) => own.len() == dims.len(),
                    _ => wide(own).first().is_none_or(|&extent| extent == 1),
                };
                if !aligned {
                    return Err(self.mixes(node));
                }
            }
        }
        let (a_wide, b_wide) = (wide(&a_dims), wide(&b_dims));
        if let Some(affine) = self.affine(node, &op, (&a, &a_wide), (&b, &b_wide))? {
            return Ok(affine.with(dims));
        }
        let same = match (&a, &b) {
            (Value::Run(x), Value::Run(y)) => x.shape == y.shape && a_dims == b_dims,
            _ => false,
        };
        let shapes = match (&a, &b) {
            (Value::Run(x), Value::Run(y)) if same => (x.shape, y.shape),
            // A single number fits any arrangement.
            (Value::Run(x), Value::Known(y)) if y.data().len() == 1 => (x.shape, [1; 4]),
            (Value::Known(x), Value::Run(y)) if x.data().len() == 1 => ([1; 4], y.shape),
            _ => merged(&a_wide, &b_wide, |dims| self.canonical(dims))
                .ok_or_else(|| format!("{a_dims:?} and {b_dims:?} cannot be combined with the four axes of a map"))?,
        };
        let x = self.operand(node, a, a_wide, shapes.0)?;
        let y = self.operand(node, b, b_wide, shapes.1)?;
        let result = self.emit(&self.name(node), op, &[&x, &y], vec![])?;
        Ok(result.with(dims))
    }

    /// A constant that is the same for every element of the batch is taken once.
    pub(super) fn one_of_batch(&self, value: &mut Value, dims: &mut [usize], rank: usize) {
        let Value::Known(array) = value else { return };
        if !self.batched || dims.len() < rank || dims.is_empty() || dims[0] < 2 || self.declared_batch != Some(dims[0])
        {
            return;
        }
        let mut first = dims.to_vec();
        first[0] = 1;
        let once = array.strided(&first, 0, &array.strides());
        if once.broadcast(dims) == **array {
            dims[0] = 1;
            *value = Value::Known(std::sync::Arc::new(once));
        }
    }

    fn operand(&mut self, node: &Node, value: Value, dims: Vec<usize>, shape: [usize; 4]) -> Result<Run, Stop> {
        match value {
            Value::Run(run) => self.place(&run.with(dims), shape),
            Value::Known(array) => self.constant_map(node, &array, shape),
            _ => Err(Stop::Never(String::new())),
        }
    }

    /// Arithmetic with one number per channel directly after a convolution, as a batch norm that can be folded.
    fn affine(
        &mut self,
        node: &Node,
        op: &Op,
        (a, a_dims): (&Value, &[usize]),
        (b, b_dims): (&Value, &[usize]),
    ) -> Result<Option<Run>, Stop> {
        let (run, dims, array, array_dims, swapped) = match (a, b) {
            (Value::Run(run), Value::Known(array)) => (run, a_dims, array, b_dims, false),
            (Value::Known(array), Value::Run(run)) => (run, b_dims, array, a_dims, true),
            _ => return Ok(None),
        };
        let after_conv = match self.op(run) {
            Some(Op::Conv2d(_)) => true,
            Some(Op::BatchNorm(_)) => matches!(self.source_op(run), Some(Op::Conv2d(_) | Op::BatchNorm(_))),
            _ => false,
        };
        let channels = run.shape[1];
        let per_channel = match array_dims {
            [first, c, rest @ ..] => *first == 1 && rest.iter().all(|&extent| extent == 1) && [1, channels].contains(c),
            _ => false,
        };
        if !after_conv || !per_channel || run.shape != self.canonical(dims) || !array.is_float() {
            return Ok(None);
        }
        let own = array.to_f32();
        let values: Vec<f32> = (0..channels).map(|c| own[c.min(own.len() - 1)]).collect();
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let (weight, bias) = match (op, swapped) {
            (Op::Add, _) => (ones.clone(), values),
            (Op::Sub, false) => (ones.clone(), values.iter().map(|value| -value).collect()),
            (Op::Sub, true) => (vec![-1.0; channels], values),
            (Op::Mul, _) => (values, zeros.clone()),
            (Op::Div, false) if values.iter().all(|value| value.recip().is_finite()) => {
                (values.iter().map(|value| value.recip()).collect(), zeros.clone())
            }
            _ => return Ok(None),
        };
        let vector = |values: Vec<f32>| Tensor::new([channels], values);
        let weights = vec![
            ("weight", vector(weight)?),
            ("bias", vector(bias)?),
            ("running_mean", vector(zeros)?),
            ("running_var", vector(ones)?),
        ];
        let norm = Op::BatchNorm(BatchNorm { channels, eps: 0.0 });
        Ok(Some(self.emit(&self.name(node), norm, &[run], weights)?))
    }
}

/// The activation that bounds a value; none if there are no bounds, or none that any number is beyond.
fn bounded(min: Option<f32>, max: Option<f32>) -> Result<Option<Activation>, Stop> {
    let min = min.filter(|&bound| bound > f32::MIN || bound.is_nan());
    let max = max.filter(|&bound| bound < f32::MAX || bound.is_nan());
    if let Some(bound) = min.into_iter().chain(max).find(|bound| !bound.is_finite()) {
        return Err(format!("its bound is {bound}, which leaves no finite value").into());
    }
    Ok(match (min, max) {
        (None, None) => None,
        (Some(0.0), None) => Some(Activation::Relu),
        (Some(0.0), Some(6.0)) => Some(Activation::Relu6),
        (min, max) => Some(Activation::Clip { min, max }),
    })
}

/// Shapes of four axes in which two operands of the same rank can be combined, or nothing where that takes more axes.
fn merged(a: &[usize], b: &[usize], canonical: impl Fn(&[usize]) -> [usize; 4]) -> Option<([usize; 4], [usize; 4])> {
    if a.len() <= 4 {
        return Some((canonical(a), canonical(b)));
    }
    // Neighbouring axes along which the same operand is repeated are one axis.
    let mut groups: Vec<((bool, bool), usize, usize)> = vec![];
    for (&x, &y) in a.iter().zip(b).filter(|(x, y)| **x != 1 || **y != 1) {
        let kind = (x == 1, y == 1);
        match groups.last_mut() {
            Some((last, p, q)) if *last == kind => {
                *p *= x;
                *q *= y;
            }
            _ => groups.push((kind, x, y)),
        }
    }
    let lead = 4usize.checked_sub(groups.len())?;
    let group = |axis: usize| axis.checked_sub(lead).map(|at| &groups[at]);
    let first = std::array::from_fn(|axis| group(axis).map_or(1, |&(_, extent, _)| extent));
    Some((first, std::array::from_fn(|axis| group(axis).map_or(1, |&(_, _, extent)| extent))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_do_not_bound_are_left_out_and_those_that_leave_nothing_refused() {
        let (far, inf) = (f32::MAX, f32::INFINITY);
        let clip = |min, max| Some(Activation::Clip { min, max });
        for (min, max, want) in [
            (None, None, None),
            (Some(-far), Some(far), None),
            (Some(-inf), Some(inf), None),
            (Some(0.0), Some(inf), Some(Activation::Relu)),
            (Some(0.0), Some(6.0), Some(Activation::Relu6)),
            (Some(-1.0), None, clip(Some(-1.0), None)),
            (Some(2.0), Some(1.0), clip(Some(2.0), Some(1.0))),
            (Some(far), Some(-far), clip(Some(far), Some(-far))),
        ] {
            assert!(matches!(bounded(min, max), Ok(got) if got == want), "{min:?} {max:?}");
        }
        for (min, max) in [(Some(f32::NAN), None), (None, Some(f32::NAN)), (Some(inf), None), (Some(0.0), Some(-inf))] {
            assert!(bounded(min, max).is_err(), "{min:?} {max:?}");
        }
    }
}
