//! Matrix products.

use super::super::array::Array;
use super::super::axis_rules;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Run, Stop, Value};
use super::{Values, one};
use crate::Tensor;
use crate::network::{Conv2d, Linear, Op};

impl Importer<'_> {
    pub(super) fn gemm(&mut self, node: &Node) -> Values {
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        let (trans_a, trans_b) = (node.int("transA", 0) != 0, node.int("transB", 0) != 0);
        let b = self.known(node, 1)?.ok_or("its second matrix is missing")?;
        let mut run = self.run(node, 0)?;
        if run.rank() > 2 && node.opset < 7 {
            // Old files leave out the flattening.
            let columns = run.dims[1..].iter().product();
            let rows = run.dims[0];
            run = run.with([rows, columns]);
        }
        if run.rank() != 2 || b.dims().len() != 2 {
            return Err(format!("{:?} and {:?} are not two matrices", run.dims, b.dims()).into());
        }
        if trans_a {
            run = self.permuted(node, &run, &[1, 0])?;
        }
        let weight = if trans_b { Array::clone(&b) } else { b.permuted(&[1, 0]) };
        let (rows, features) = (run.dims[0], weight.dims()[0]);
        let scale = |array: &Array, factor: f32| -> Vec<f32> {
            array.to_f32().into_iter().map(|value| if factor == 1.0 { value } else { value * factor }).collect()
        };
        let weight = Array::new(weight.dims(), scale(&weight, alpha)).ok_or("its matrix does not fit")?;
        let third = self.value(node, 2);
        let bias = match &third {
            Some(Value::Known(c)) => {
                let wide = [vec![1; 2usize.saturating_sub(c.dims().len())], c.dims().to_vec()].concat();
                let fits = wide.len() == 2 && wide[0] == 1 && (wide[1] == 1 || wide[1] == features);
                fits.then(|| scale(&c.broadcast(&[1, features]), beta))
            }
            _ => None,
        };
        let added = third.filter(|_| bias.is_none());
        let name = self.layer_name(node, 1);
        let result = self.linear(&name, &run, &weight, bias)?.with([rows, features]);
        match added {
            None => one(result),
            Some(Value::Known(c)) => {
                if self.batched && c.dims().len() == 2 && c.dims()[0] != 1 {
                    return Err(self.mixes(node));
                }
                axis_rules::broadcast(&[rows, features], c.dims())?;
                let scaled = Array::new(c.dims(), scale(&c, beta)).ok_or("its third matrix does not fit")?;
                let wide = [vec![1; 2usize.saturating_sub(c.dims().len())], c.dims().to_vec()].concat();
                let shape = self.canonical(&wide);
                let constant = self.constant_map(node, &scaled, shape)?;
                let placed = self.placed(&result)?;
                one(self.emit(&self.name(node), Op::Add, &[&placed, &constant], vec![])?.with([rows, features]))
            }
            Some(Value::Run(c)) => {
                let c = if beta == 1.0 { c } else { self.scaled(node, &c, beta)? };
                if self.batched && c.rank() != 2 {
                    return Err(self.mixes(node));
                }
                let wide = [vec![1; 2usize.saturating_sub(c.rank())], c.dims.clone()].concat();
                if wide.len() != 2 {
                    return Err(format!("{:?} cannot be added to a matrix", c.dims).into());
                }
                let shape = self.canonical(&wide);
                let c = self.place(&c, shape)?;
                let placed = self.placed(&result)?;
                one(self.emit(&self.name(node), Op::Add, &[&placed, &c], vec![])?.with([rows, features]))
            }
            Some(_) => Err(Stop::Never(String::new())),
        }
    }

    /// Rows times a weight `[out, in]`.
    fn linear(&mut self, name: &str, run: &Run, weight: &Array, bias: Option<Vec<f32>>) -> Result<Run, Stop> {
        let (&[out_features, in_features], Some(&columns)) = (weight.dims(), run.dims.last()) else {
            return Err("it takes matrices".into());
        };
        let rows: usize = run.dims[..run.rank() - 1].iter().product();
        if columns != in_features || in_features == 0 || out_features == 0 {
            return Err(format!("{:?} does not fit a matrix of {in_features}×{out_features}", run.dims).into());
        }
        let [items, c, h, w] = run.shape;
        // A fully connected layer reads maps as they are.
        let fits = items == rows && c * h * w == in_features;
        let placed = if fits { run.clone() } else { self.place(run, [rows, in_features, 1, 1])? };
        let mut weights = vec![("weight", Tensor::new([out_features, in_features], weight.to_f32())?)];
        let linear = Op::Linear(Linear { in_features, out_features, bias: bias.is_some() });
        if let Some(bias) = bias {
            weights.push(("bias", Tensor::new([out_features], bias)?));
        }
        self.emit(name, linear, &[&placed], weights)
    }

    pub(super) fn matmul(&mut self, node: &Node) -> Values {
        let (mut first, mut second) = (self.value(node, 0), self.value(node, 1));
        let rank = |value: &Option<Value>| if let Some(Value::Run(run)) = value { run.rank() } else { 0 };
        // Matrices that are the same for every element of the batch are one matrix.
        for (index, other) in [(0, rank(&second)), (1, rank(&first))] {
            let element =
                self.repeated_element(node, index).filter(|element| element.dims().len() == other && other > 2);
            if let Some(element) = element {
                *(if index == 0 { &mut first } else { &mut second }) = Some(Value::Known(element));
            }
        }
        match (first, second) {
            (Some(Value::Known(a)), Some(Value::Run(b))) => {
                // (A·B)ᵀ = Bᵀ·Aᵀ.
                if b.rank() == 0 || a.dims().is_empty() {
                    return Err("it takes matrices".into());
                }
                let name = self.name(node);
                let b = if b.rank() > 1 { self.swapped(node, &b)? } else { b };
                let a = if a.dims().len() > 1 { a.permuted(&swap(a.dims().len())) } else { Array::clone(&a) };
                let result = self.times(node, &name, b.clone(), &a)?;
                one(if b.rank() > 1 && a.dims().len() > 1 { self.swapped(node, &result)? } else { result })
            }
            (Some(Value::Run(a)), Some(Value::Known(b))) => {
                let name = self.layer_name(node, 1);
                one(self.times(node, &name, a, &b)?)
            }
            (Some(Value::Run(a)), Some(Value::Run(b))) if !a.origins.is_subset(&b.origins) => {
                Err(Stop::Known((*b.origins).clone()))
            }
            (Some(Value::Run(_)), Some(Value::Run(_))) => {
                Err("the product of two values computed from the same input is not supported".into())
            }
            _ => Err("it lacks an input".into()),
        }
    }

    /// A value with its last two axes swapped.
    fn swapped(&mut self, node: &Node, run: &Run) -> Result<Run, Stop> {
        self.permuted(node, run, &swap(run.rank()))
    }

    /// A value times a constant, as `MatMul` has it.
    fn times(&mut self, node: &Node, name: &str, a: Run, b: &Array) -> Result<Run, Stop> {
        let (a_rank, b_rank) = (a.rank(), b.dims().len());
        if a_rank == 0 || b_rank == 0 {
            return Err("it takes matrices".into());
        }
        if a_rank == 1 && self.batched {
            return Err(self.mixes(node));
        }
        let mismatch = || Stop::from(format!("{:?} and {:?} cannot be multiplied", a.dims, b.dims()));
        let b_wide = if b_rank == 1 { b.with_dims([b.dims()[0], 1]).ok_or_else(mismatch)? } else { b.clone() };
        let (b_lead, &[inner, columns]) = b_wide.dims().split_last_chunk::<2>().ok_or_else(mismatch)?;
        if a.dims.last() != Some(&inner) || inner == 0 || columns == 0 {
            return Err(mismatch());
        }
        // One matrix for all rows.
        if b_lead.iter().all(|&extent| extent == 1) && b_lead.len() + 2 <= a_rank.max(2) {
            let weight = b_wide.with_dims([inner, columns]).ok_or_else(mismatch)?.permuted(&[1, 0]);
            let mut dims = a.dims[..a_rank - 1].to_vec();
            dims.extend((b_rank > 1).then_some(columns));
            return Ok(self.linear(name, &a, &weight, None)?.with(dims));
        }
        // A matrix for every index of the leading axes: a convolution of 1×1 with as many groups.
        let a_wide = if a_rank == 1 { a.clone().with([1, inner]) } else { a.clone() };
        let (a_lead, rows) = (&a_wide.dims[..a_wide.rank() - 2], a_wide.dims[a_wide.rank() - 2]);
        let lead = axis_rules::broadcast(a_lead, b_lead)?;
        if self.batched && (b_lead.len() >= a_wide.rank() - 1 || (b_lead.len() + 2 == a_wide.rank() && b_lead[0] != 1))
        {
            return Err(self.mixes(node));
        }
        // Leading axes that only the value has are items.
        let shared = lead.len() - b_lead.len().min(lead.len());
        let items: usize = lead[..shared].iter().product();
        let groups: usize = lead[shared..].iter().product();
        let wide = self.repeated(node, &a_wide, &[lead.as_slice(), &[rows, inner]].concat())?;
        let turned = self.swapped(node, &wide)?;
        let placed = self.place(&turned, [items, groups * inner, 1, rows])?;
        let per_group = b_wide.broadcast(&[&lead[shared..], &[inner, columns]].concat());
        let weight = per_group.permuted(&swap(per_group.dims().len())).to_f32();
        let conv = Conv2d { groups, ..Conv2d::new(groups * inner, groups * columns, [1, 1]) };
        let weights = vec![("weight", Tensor::new(conv.kernel_shape(), weight)?)];
        let result = self.emit(name, Op::Conv2d(conv), &[&placed], weights)?;
        let result = self.swapped(node, &result.with([lead.as_slice(), &[columns, rows]].concat()))?;
        let mut dims = lead;
        dims.extend((a_rank > 1).then_some(rows));
        dims.extend((b_rank > 1).then_some(columns));
        Ok(result.with(dims))
    }
}

/// The order of axes that swaps the last two.
fn swap(rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    if rank > 1 {
        order.swap(rank - 2, rank - 1);
    }
    order
}
