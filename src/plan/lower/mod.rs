//! From a model to the steps of a plan.

mod fuse;
mod layers;

use std::collections::HashMap;

use super::resize::Table;
use super::{
    AxisView, Binary, BinaryOp, Constant, ConstantId, Kernel, KernelId, Mode, Pad, Plan, Pool, PoolKind, Step, Value,
    ValueId, View,
};
#[cfg(training)]
use crate::Error;
use crate::network::{Inferred, Network, Node, Op, Resize, Shape, Source};
use crate::{Model, Result};

/// How far the D of a folded layer is moved from the identity when it has to be expanded: enough that composing does
/// real work, little enough that it is well conditioned.
const EXPANSION_JITTER: f64 = 0.1;
const EXPANSION_SEED: u64 = 0;

impl Plan {
    /// Plans a model.
    ///
    /// In [`Mode::Kernel`] and [`Mode::Feature`], layers that are marked as DO-Conv but hold a folded kernel are
    /// expanded first, with a random invertible D.
    ///
    /// ```
    /// use doconv::{Model, network::zoo, plan::{Mode, Plan, Step}};
    /// # fn demo(model: &Model) -> doconv::Result<()> {
    /// let plan = Plan::new(model, Mode::Folded)?;
    /// let convolutions = plan.steps().iter().filter(|step| matches!(step, Step::Conv(_))).count();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Model::expand`] and [`Model::fold_batch_norms`]; [`crate::Error::Unsupported`] where feature
    /// composition cannot express a layer's pairing.
    pub fn new(model: &Model, mode: Mode) -> Result<Self> {
        lower(model, mode, true)
    }

    /// The same with every kernel in one piece, however large, so that it can be found by its layer's name.
    pub(crate) fn of_whole_kernels(model: &Model, mode: Mode) -> Result<Self> {
        lower(model, mode, false)
    }
}

/// With kernels in parts where they are too large for some devices, unless they are to stay whole.
fn lower(model: &Model, mode: Mode, splits_kernels: bool) -> Result<Plan> {
    let model = match mode {
        Mode::Folded => model.fold_batch_norms()?,
        Mode::Kernel | Mode::Feature => expand_marked(&model.fold_batch_norms()?)?,
    };
    let network = model.network();
    let inferred = network.infer(1)?;
    let mut lowering = Lowering::new(&model, &inferred, mode);
    lowering.splits_kernels = splits_kernels;
    for (index, node) in network.nodes.iter().enumerate() {
        lowering.node(index, node)?;
    }
    lowering.finish().checked()
}

/// The steps forward for a batch of this size, with parameters that change: what holds W and D is composed at every run, and
/// batch norms that `trains` take the batch's own statistics.
#[cfg(training)]
pub(super) fn lower_for_training(
    model: &Model,
    batch: usize,
    trains: &dyn Fn(&str) -> bool,
) -> Result<(Plan, Vec<TrainedNorm>)> {
    let network = model.network();
    // The batch takes the place of the items, of which there has to be one: what moves values says where they are in one.
    let one = network.infer(1)?;
    let names = network.inputs.iter().map(|input| &input.name).chain(network.nodes.iter().map(|node| &node.name));
    for (name, [items, ..]) in names.zip(one.inputs.iter().chain(&one.nodes)) {
        if *items != 1 {
            return Err(Error::Unsupported(format!(
                "`{name}`: {items} maps per image cannot be trained with, only one"
            )));
        }
    }
    let inferred = network.infer(batch)?;
    let mut lowering = Lowering::new(model, &inferred, Mode::Kernel);
    lowering.training = Some(Training { trains, norms: vec![] });
    for (index, node) in network.nodes.iter().enumerate() {
        lowering.node(index, node)?;
    }
    let norms = lowering.training.take().map(|training| training.norms).unwrap_or_default();
    Ok((lowering.finish(), norms))
}

/// How a plan for training differs.
#[cfg(training)]
struct Training<'a> {
    /// Whether a parameter of this name is trained.
    trains: &'a dyn Fn(&str) -> bool,
    norms: Vec<TrainedNorm>,
}

/// A batch norm with the statistics of its batch.
#[cfg(training)]
pub(super) struct TrainedNorm {
    /// The node's name.
    pub name: String,
    /// What it normalises.
    pub input: ValueId,
    /// Mean and variance of the batch.
    pub statistics: ValueId,
    /// Bias and weight.
    pub affine: ValueId,
}

/// Expands the layers that are marked as DO-Conv and hold a folded kernel.
pub(crate) fn expand_marked(model: &Model) -> Result<Model> {
    model.expand_where(|conv| conv.doconv.is_some(), None, EXPANSION_JITTER, EXPANSION_SEED)
}

struct Lowering<'a> {
    model: &'a Model,
    network: &'a Network,
    inferred: &'a Inferred,
    mode: Mode,
    /// Whether kernels that are too large for some devices become several.
    splits_kernels: bool,
    plan: Plan,
    /// Where the value of an input or a node ended up.
    value_of: HashMap<Source, ValueId>,
    /// The same the other way round: a flattened view lies where its map does.
    sources_at: HashMap<ValueId, Vec<Source>>,
    /// Which step writes a value.
    writer: HashMap<ValueId, usize>,
    /// How many nodes and outputs read a value of the network.
    readers: HashMap<Source, usize>,
    #[cfg(training)]
    training: Option<Training<'a>>,
}

impl<'a> Lowering<'a> {
    fn new(model: &'a Model, inferred: &'a Inferred, mode: Mode) -> Self {
        let network = model.network();
        let mut readers = HashMap::new();
        for &source in inferred.edges.iter().flatten().chain(&inferred.outputs) {
            *readers.entry(source).or_default() += 1;
        }
        let mut lowering = Self {
            model,
            network,
            inferred,
            mode,
            splits_kernels: false,
            plan: Plan::empty(),
            value_of: HashMap::new(),
            sources_at: HashMap::new(),
            writer: HashMap::new(),
            readers,
            #[cfg(training)]
            training: None,
        };
        for (index, input) in network.inputs.iter().enumerate() {
            let value = lowering.new_value(&input.name, inferred.inputs[index]);
            lowering.plan.inputs.push(value);
            lowering.place(Source::Input(index), value);
        }
        lowering
    }

    fn finish(mut self) -> Plan {
        self.plan.outputs = self.inferred.outputs.iter().map(|source| self.value_of[source]).collect();
        self.plan
    }

    fn new_value(&mut self, name: &str, shape: Shape) -> ValueId {
        self.plan.values.push(Value { name: name.into(), shape });
        ValueId(self.plan.values.len() - 1)
    }

    fn place(&mut self, source: Source, value: ValueId) {
        self.value_of.insert(source, value);
        self.sources_at.entry(value).or_default().push(source);
    }

    fn push(&mut self, step: Step) {
        if let Some(output) = step.output() {
            self.writer.insert(output, self.plan.steps.len());
        }
        self.plan.steps.push(step);
    }

    fn push_kernel(&mut self, kernel: Kernel) -> KernelId {
        self.plan.kernels.push(kernel);
        KernelId(self.plan.kernels.len() - 1)
    }

    fn node(&mut self, index: usize, node: &Node) -> Result<()> {
        let edges = &self.inferred.edges[index];
        let shape = self.inferred.nodes[index];
        let inputs: Vec<ValueId> = edges.iter().map(|source| self.value_of[source]).collect();
        if let Some(value) = self.fuse(node, edges) {
            self.place(Source::Node(index), value);
            return Ok(());
        }
        if let Op::Flatten | Op::Reshape(_) = node.op
            && (self.inferred.shape(edges[0]) == shape || self.is_flat_for_linear(index))
        {
            self.place(Source::Node(index), inputs[0]);
            return Ok(());
        }
        let output = self.new_value(&node.name, shape);
        self.place(Source::Node(index), output);
        match &node.op {
            Op::Conv2d(conv) => self.convolution(node, conv, inputs[0], output)?,
            Op::Linear(linear) => self.linear(node, linear, inputs[0], output)?,
            Op::BatchNorm(norm) => self.batch_norm(node, norm, inputs[0], output)?,
            Op::Activation(activation) => {
                self.push(Step::Activation { activation: *activation, input: inputs[0], output });
            }
            Op::MaxPool(pool) => self.push(Step::Pool(Pool {
                kind: PoolKind::Max,
                kernel: pool.kernel,
                stride: pool.stride,
                padding: pool.padding,
                dilation: pool.dilation,
                input: inputs[0],
                output,
            })),
            Op::AvgPool(pool) => self.push(Step::Pool(Pool {
                kind: PoolKind::Mean { count_include_pad: pool.count_include_pad },
                kernel: pool.kernel,
                stride: pool.stride,
                padding: pool.padding,
                dilation: pool.dilation,
                input: inputs[0],
                output,
            })),
            Op::GlobalAvgPool => {
                let kind = PoolKind::Mean { count_include_pad: false };
                self.push(Step::GlobalPool { kind, input: inputs[0], output });
            }
            Op::GlobalMaxPool => self.push(Step::GlobalPool { kind: PoolKind::Max, input: inputs[0], output }),
            Op::ConvTranspose2d(conv) => self.transposed(node, conv, inputs[0], output)?,
            Op::Add => self.binary(BinaryOp::Add, inputs[0], inputs[1], output),
            Op::Sub => self.binary(BinaryOp::Sub, inputs[0], inputs[1], output),
            Op::Mul => self.binary(BinaryOp::Mul, inputs[0], inputs[1], output),
            Op::Div => self.binary(BinaryOp::Div, inputs[0], inputs[1], output),
            Op::Prelu => self.binary(BinaryOp::Prelu, inputs[0], inputs[1], output),
            Op::Constant(shape) => {
                let values = self.model.tensor(&format!("{}.value", node.name), shape)?.data().to_vec();
                let constant = self.push_constant(Constant { name: node.name.clone(), shape: *shape, values });
                self.push(Step::Constant { constant, output });
            }
            Op::Concat => self.push(Step::Concat { inputs, output }),
            Op::Flatten | Op::Reshape(_) => {
                self.push(Step::Rearrange { view: View::reshape(shape), input: inputs[0], output });
            }
            Op::Transpose(axes) => {
                let view = self.transposed_view(self.shape(inputs[0]), *axes);
                self.push(Step::Rearrange { view, input: inputs[0], output });
            }
            Op::Slice(slice) => {
                let view = View::slice(self.shape(inputs[0]), slice);
                self.push(Step::Rearrange { view, input: inputs[0], output });
            }
            Op::Pad(pad) => {
                let (before, mode, value) = (pad.before, pad.mode, pad.value);
                self.push(Step::Pad(Pad { before, mode, value, input: inputs[0], output }));
            }
            Op::Resize(resize) => self.resize(node, resize, inputs[0], output),
            Op::Lrn(lrn) => self.push(Step::Lrn { lrn: lrn.clone(), input: inputs[0], output }),
            Op::Softmax => self.push(Step::Softmax { logarithm: false, input: inputs[0], output }),
            Op::LogSoftmax => self.push(Step::Softmax { logarithm: true, input: inputs[0], output }),
        }
        Ok(())
    }

    fn shape(&self, value: ValueId) -> Shape {
        self.plan.values[value.0].shape
    }

    /// In a plan for a fixed batch the items are the elements of the batch, which keep their distance whatever axis becomes
    /// that of the one item that each of them has.
    fn transposed_view(&self, from @ [_, c, h, w]: Shape, axes: [usize; 4]) -> View {
        let mut view = View::transpose(from, axes);
        if self.is_for_training() {
            view.axes[0] = AxisView::new((c * h * w) as isize);
        }
        view
    }

    fn push_constant(&mut self, constant: Constant) -> ConstantId {
        self.plan.constants.push(constant);
        ConstantId(self.plan.constants.len() - 1)
    }

    fn is_for_training(&self) -> bool {
        #[cfg(training)]
        return self.training.is_some();
        #[cfg(not(training))]
        false
    }

    /// Whether a node only makes vectors of maps for fully connected layers, which take maps just as well.
    fn is_flat_for_linear(&self, node: usize) -> bool {
        let source = Source::Node(node);
        let [n, ..] = self.inferred.shape(self.inferred.edges[node][0]);
        if self.inferred.nodes[node][0] != n || self.inferred.nodes[node][2..] != [1, 1] {
            return false;
        }
        let readers = self.network.nodes.iter().zip(&self.inferred.edges);
        !self.inferred.outputs.contains(&source)
            && readers.filter(|(_, edges)| edges.contains(&source)).all(|(node, _)| matches!(node.op, Op::Linear(_)))
    }

    fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId, output: ValueId) {
        let count = |value: ValueId| self.shape(value).iter().product::<usize>();
        let commutative = matches!(op, BinaryOp::Add | BinaryOp::Mul);
        let (a, b) = if commutative && count(a) < count(b) { (b, a) } else { (a, b) };
        self.push(Step::Binary(Binary { op, a, b, activation: None, output }));
    }

    fn resize(&mut self, node: &Node, resize: &Resize, input: ValueId, output: ValueId) {
        let shape = self.shape(input);
        let [rows, columns] = [0, 1].map(|axis| {
            let table = Table::new(resize, axis, shape[2 + axis]);
            let indices = table.indices.iter().map(|&index| index as f32);
            let values = indices.chain(table.weights.iter().map(|&weight| weight as f32)).collect();
            let shape = [1, 2, resize.size[axis], table.taps];
            self.push_constant(Constant { name: format!("{}.axis{}", node.name, 2 + axis), shape, values })
        });
        self.push(Step::Resize { rows, columns, input, output });
    }
}
