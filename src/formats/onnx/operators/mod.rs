//! What the operators of ONNX are in a network.

mod elementwise;
mod layers;
mod layout_ops;
mod matmul;
mod pool;
mod resize;

use super::constant;
use super::import::Importer;
use super::node::Node;
use super::value::{Run, Stop, Value};
use crate::network::{Activation, Lrn, Op, Shape};

/// No attribute may be larger than this.
const MAX_EXTENT: i64 = 1 << 24;

type Values = Result<Vec<Value>, Stop>;

impl Run {
    /// The same values with other extents.
    fn with(self, dims: impl Into<Vec<usize>>) -> Self {
        Self { dims: dims.into(), ..self }
    }

    fn rank(&self) -> usize {
        self.dims.len()
    }
}

fn one(run: Run) -> Values {
    Ok(vec![Value::Run(run)])
}

impl Importer<'_> {
    /// The values of a node some of whose inputs are computed at run time.
    pub(super) fn operator(&mut self, node: &Node) -> Values {
        match node.op() {
            "Identity" => self.value(node, 0).map(|value| vec![value]).ok_or_else(|| "it has no input".into()),
            "Dropout" => self.dropout(node),
            "Cast" => match node.int("to", 1) {
                1 | 10 | 11 | 16 => one(self.run(node, 0)?),
                _ => Err("values computed at run time are floats, and cannot become anything else".into()),
            },
            "CastLike" => match self.value(node, 1) {
                Some(Value::Known(like)) if !like.is_float() => {
                    Err("values computed at run time are floats, and cannot become anything else".into())
                }
                // All floats are computed with the same precision.
                _ => self.value(node, 0).map(|value| vec![value]).ok_or_else(|| "it has no input".into()),
            },
            "Shape" | "Size" => {
                let run = self.run(node, 0)?;
                self.for_batches(node, |n| constant::shape(node, &self.dims_of(&run, n)))
            }
            "Relu" => self.activation(node, Activation::Relu),
            "LeakyRelu" => self.activation(node, Activation::LeakyRelu { slope: node.float("alpha", 0.01) }),
            "Sigmoid" => self.activation(node, Activation::Sigmoid),
            "Tanh" => self.activation(node, Activation::Tanh),
            "HardSwish" => self.activation(node, Activation::HardSwish),
            "HardSigmoid" => {
                let (slope, offset) = (node.float("alpha", 0.2), node.float("beta", 0.5));
                // PyTorch's exporter writes a sixth with as many digits as it likes.
                let torch = (slope - 1.0 / 6.0).abs() < 1e-6 && offset == 0.5;
                let ramp = Activation::Ramp { slope, offset };
                self.activation(node, if torch { Activation::HardSigmoid } else { ramp })
            }
            "Swish" if node.float("alpha", 1.0) == 1.0 => self.activation(node, Activation::Silu),
            "Clip" => self.clip(node),
            "Min" | "Max" => self.bound(node),
            "Neg" => self.negate(node),
            "Pow" => self.power(node),
            "Add" | "Sub" | "Mul" | "Div" | "PRelu" | "Sum" => self.arithmetic(node),
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transpose(node),
            "BatchNormalization" => self.batch_norm(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" => self.global_pool(node, Op::GlobalAvgPool),
            "GlobalMaxPool" => self.global_pool(node, Op::GlobalMaxPool),
            "ReduceMean" | "ReduceMax" | "ReduceSum" => self.reduce(node),
            "LRN" => self.lrn(node),
            "Softmax" => self.softmax(node, Op::Softmax),
            "LogSoftmax" => self.softmax(node, Op::LogSoftmax),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Concat" => self.concat(node),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Transpose" => self.transpose(node),
            "DepthToSpace" | "SpaceToDepth" => self.space(node),
            "Slice" => self.slice(node),
            "Split" => self.split(node),
            "Gather" => self.gather(node),
            "Expand" => self.expand(node),
            "Tile" => self.tile(node),
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(node),
            _ => Err("it is supported for constants, but not for values computed at run time".into()),
        }
    }

    fn dropout(&mut self, node: &Node) -> Values {
        let training = match self.known(node, 2)? {
            Some(training) => training.to_bool().first().copied().unwrap_or(false),
            None => node.opset < 7 && node.int("is_test", 0) == 0,
        };
        let ratio = self.known(node, 1)?.and_then(|ratio| ratio.to_f64().first().copied());
        let ratio = ratio.unwrap_or(f64::from(node.float("ratio", 0.5)));
        if training && ratio != 0.0 {
            return Err("training mode is not supported".into());
        }
        one(self.run(node, 0)?)
    }

    fn softmax(&mut self, node: &Node, op: Op) -> Values {
        let run = self.run(node, 0)?;
        if node.opset >= 13 {
            let axis = super::axis_rules::axis(node.int("axis", -1), run.rank())?;
            let placed = self.around(node, &run, axis)?;
            let result = self.emit(&self.name(node), op, &[&placed], vec![])?;
            return one(result.with(run.dims));
        }
        // Before operator set 13 all axes from this one on are one.
        let axis = super::axis_rules::axis(node.int("axis", 1), run.rank().max(1))?;
        if axis == 0 && self.batched {
            return Err(self.mixes(node));
        }
        let rows = run.dims[..axis].iter().product();
        let placed = self.place(&run, [rows, run.dims[axis..].iter().product(), 1, 1])?;
        let result = self.emit(&self.name(node), op, &[&placed], vec![])?;
        one(result.with(run.dims))
    }

    fn lrn(&mut self, node: &Node) -> Values {
        let run = self.run(node, 0)?;
        if run.rank() < 2 {
            return Err(format!("it takes at least two axes, not {:?}", run.dims).into());
        }
        let lrn = Lrn {
            size: usize::try_from(node.int("size", 0)).unwrap_or(0),
            alpha: node.float("alpha", 1e-4),
            beta: node.float("beta", 0.75),
            k: node.float("bias", 1.0),
        };
        let placed = self.placed(&run)?;
        let result = self.emit(&self.name(node), Op::Lrn(lrn), &[&placed], vec![])?;
        one(result.with(run.dims))
    }

    /// A value with one axis as the channels of its map.
    fn around(&mut self, node: &Node, run: &Run, axis: usize) -> Result<Run, Stop> {
        if axis == 0 && self.batched {
            return Err(self.mixes(node));
        }
        self.place(run, around(&run.dims, axis))
    }
}

/// A shape that has one axis of a value as channels.
fn around(dims: &[usize], axis: usize) -> Shape {
    match *dims {
        [n, c, h, w] if axis == 1 => [n, c, h, w],
        _ => [dims[..axis].iter().product(), dims[axis], 1, dims[axis + 1..].iter().product()],
    }
}
