//! Pooling and reductions.

use super::super::array::Array;
use super::super::axis_rules;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::Stop;
use super::layers::{Window, unplaced};
use super::{Values, one};
use crate::network::{AvgPool, MaxPool, Op};

impl Importer<'_> {
    pub(super) fn pool(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        if !(3..=4).contains(&run.rank()) {
            return Err(format!("{:?} does not have one or two spatial axes", run.dims).into());
        }
        let kernel = axis_rules::extents(node.ints("kernel_shape").ok_or("its kernel_shape is missing")?)?;
        let Window { kernel, stride, padding, dilation } = Window::of(node, &kernel, &run.dims[2..])?;
        let ceil_mode = node.int("ceil_mode", 0) != 0;
        let op = if node.op() == "MaxPool" {
            Op::MaxPool(MaxPool { kernel, stride, padding, dilation, ceil_mode })
        } else {
            let count_include_pad = node.int("count_include_pad", 0) != 0;
            Op::AvgPool(AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad })
        };
        let placed = self.placed(&run)?;
        let result = self.emit(&self.name(node), op, &[&placed], vec![])?;
        let dims = unplaced(result.shape, run.rank());
        one(result.with(dims))
    }

    pub(super) fn global_pool(&mut self, node: &Node, op: Op) -> Values {
        let run = self.run(node, 0)?;
        if run.rank() < 2 {
            return Err(format!("it takes at least two axes, not {:?}", run.dims).into());
        }
        let (n, c) = (run.dims[0], run.dims[1]);
        let shape = if run.rank() <= 4 { self.canonical(&run.dims) } else { [n, c, 1, run.dims[2..].iter().product()] };
        let placed = self.place(&run, shape)?;
        let result = self.emit(&self.name(node), op, &[&placed], vec![])?;
        let dims: Vec<usize> = (0..run.rank()).map(|axis| if axis < 2 { run.dims[axis] } else { 1 }).collect();
        one(result.with(dims))
    }

    pub(super) fn reduce(&mut self, node: &Node) -> Values {
        let given = self.known(node, 1)?;
        let run = self.run(node, 0)?;
        let axes = axis_rules::reduced(node, run.rank(), given.as_deref().map(Array::to_i64).as_deref())?;
        if self.batched && axes.contains(&0) {
            return Err(self.mixes(node));
        }
        let dims = axis_rules::reduced_dims(node, &run.dims, &axes);
        let length: usize = axes.iter().map(|&axis| run.dims[axis]).product();
        if length == 1 {
            return one(run.with(dims));
        }
        let kept: Vec<usize> = (0..run.rank()).filter(|axis| !axes.contains(axis)).collect();
        let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
        let run = self.permuted(node, &run, &order)?;
        let [n, c, h, w] = run.shape;
        let count: usize = run.dims[..kept.len()].iter().product();
        let placed = if n * c == count && h * w == length {
            run
        } else {
            let first = run.dims.first().copied().filter(|_| !kept.is_empty()).unwrap_or(1);
            self.place(&run, [first, count / first, 1, length])?
        };
        let op = if node.op() == "ReduceMax" { Op::GlobalMaxPool } else { Op::GlobalAvgPool };
        let result = self.emit(&self.name(node), op, &[&placed], vec![])?.with(dims);
        if node.op() != "ReduceSum" {
            return one(result);
        }
        let factor = u32::try_from(length).map_err(|_| Stop::from("it sums too many values"))?;
        one(self.scaled(node, &result, factor as f32)?)
    }
}
