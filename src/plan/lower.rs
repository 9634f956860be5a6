//! From a model to the steps of a plan.

use std::collections::HashMap;

use super::resize::Table;
use super::{
    AxisView, Binary, BinaryOp, Constant, ConstantId, Conv, Kernel, KernelId, KernelSource, Mode, Pad, Plan, Pool,
    PoolKind, Step, SubPixel, Value, ValueId, View,
};
#[cfg(training)]
use super::{Normalise, TrainStep};
use crate::doconv::{Composed, has_feature_form};
use crate::model::{Affine, ConvWeights};
use crate::network::{
    Activation, BatchNorm, Conv2d, ConvTranspose2d, Inferred, Linear, Network, Node, Op, PaddingMode, Resize, Shape,
    Source,
};
use crate::{Error, Model, Result, Tensor};

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
            plan: Plan {
                values: vec![],
                kernels: vec![],
                constants: vec![],
                steps: vec![],
                inputs: vec![],
                outputs: vec![],
                states: vec![],
                arenas: vec![],
            },
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

    /// Whether a value is read once, by a node, so that the step that writes it may write something else instead.
    fn private(&self, source: Source) -> bool {
        matches!(source, Source::Node(_)) && self.readers[&source] == 1
    }

    /// Lets the step that made an input do this node's work too, where it can; gives the value that results.
    fn fuse(&mut self, node: &Node, edges: &[Source]) -> Option<ValueId> {
        match node.op {
            Op::Activation(activation) => self.fuse_activation(activation, edges[0]),
            Op::Add => self.fuse_residual(edges[0], edges[1]),
            _ => None,
        }
    }

    fn fuse_activation(&mut self, activation: Activation, source: Source) -> Option<ValueId> {
        let value = self.value_of[&source];
        // The backward pass of any other activation needs its argument.
        let is_kept_apart = self.is_for_training() && !activation.only_bounds();
        if is_kept_apart || !self.private(source) || self.shares_value(source) {
            return None;
        }
        let slot = match &mut self.plan.steps[*self.writer.get(&value)?] {
            Step::Conv(conv) => &mut conv.activation,
            Step::Binary(binary) => &mut binary.activation,
            #[cfg(training)]
            Step::Train(TrainStep::Normalise(norm)) => &mut norm.activation,
            _ => return None,
        };
        if slot.is_some() {
            return None;
        }
        *slot = Some(activation);
        Some(value)
    }

    fn is_for_training(&self) -> bool {
        #[cfg(training)]
        return self.training.is_some();
        #[cfg(not(training))]
        false
    }

    /// The later of the two summands, where it is a bare convolution or batch norm, takes the earlier one as its residual.
    fn fuse_residual(&mut self, a: Source, b: Source) -> Option<ValueId> {
        let written = |source| self.writer.get(&self.value_of[&source]).copied();
        let (late, early) = if written(a) >= written(b) { (a, b) } else { (b, a) };
        let same_shape = self.inferred.shape(late) == self.inferred.shape(early);
        if late == early || !self.private(late) || self.shares_value(late) || !same_shape {
            return None;
        }
        let (value, residual) = (self.value_of[&late], self.value_of[&early]);
        let step = *self.writer.get(&value)?;
        let (slot, activation) = match &mut self.plan.steps[step] {
            Step::Conv(conv) => (&mut conv.residual, conv.activation),
            #[cfg(training)]
            Step::Train(TrainStep::Normalise(norm)) => (&mut norm.residual, norm.activation),
            _ => return None,
        };
        if value == residual || slot.is_some() || activation.is_some() {
            return None;
        }
        *slot = Some(residual);
        Some(value)
    }

    /// Whether another value of the network that is still wanted lies in the same place (a flattened view).
    fn shares_value(&self, source: Source) -> bool {
        let wanted = |other: &Source| self.readers.get(other).copied().unwrap_or(0) > 1;
        self.sources_at[&self.value_of[&source]].iter().any(|other| *other != source && wanted(other))
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

    fn bias(&self, node: &Node, present: bool, channels: usize) -> Result<Vec<f32>> {
        if !present {
            return Ok(vec![0.0; channels]);
        }
        Ok(self.model.tensor(&format!("{}.bias", node.name), &[channels])?.data().to_vec())
    }

    fn push_conv(&mut self, kernel: Kernel, input: ValueId, output: ValueId) {
        let parts = if self.splits_kernels { split(&kernel) } else { vec![] };
        if parts.is_empty() {
            return self.push_whole_conv(kernel, input, output);
        }
        let [n, _, height, width] = self.shape(output);
        let inputs = parts.into_iter().map(|part| {
            let value = self.new_value(&part.name, [n, part.conv.out_channels, height, width]);
            self.push_whole_conv(part, input, value);
            value
        });
        let inputs = inputs.collect();
        self.push(Step::Concat { inputs, output });
    }

    fn push_whole_conv(&mut self, kernel: Kernel, input: ValueId, output: ValueId) {
        let (name, conv) = (kernel.name.clone(), kernel.conv.clone());
        let kernel = self.push_kernel(kernel);
        self.push(Step::Conv(Conv { name, conv, kernel, input, residual: None, activation: None, output }));
    }

    fn convolution(&mut self, node: &Node, conv: &Conv2d, input: ValueId, output: ValueId) -> Result<()> {
        let bias = self.bias(node, conv.bias, conv.out_channels)?;
        let name = node.name.clone();
        let weights = self.model.conv_weights(node, conv)?;
        let (input, conv) = self.padded(&name, conv, input);
        let conv = &conv;
        match (weights, self.mode) {
            (ConvWeights::Composed(composed), Mode::Feature) => {
                self.feature_composition(&name, conv, composed, bias, input, output)?;
            }
            (ConvWeights::Composed(composed), mode) => {
                if mode == Mode::Kernel {
                    self.push(Step::Compose(KernelId(self.plan.kernels.len())));
                }
                let source = KernelSource::Composed(composed);
                self.push_conv(Kernel { name, conv: conv.clone(), source, bias }, input, output);
            }
            (ConvWeights::Folded(kernel), _) => {
                let source = KernelSource::Plain(kernel.into_data());
                self.push_conv(Kernel { name, conv: conv.clone(), source, bias }, input, output);
            }
        }
        Ok(())
    }

    /// Convolutions only know zeros outside their input; whatever else is wanted there becomes part of it.
    fn padded(&mut self, name: &str, conv: &Conv2d, input: ValueId) -> (ValueId, Conv2d) {
        let [top, left, bottom, right] = conv.padding;
        if conv.padding_mode == PaddingMode::Zeros || conv.padding == [0; 4] {
            return (input, Conv2d { padding_mode: PaddingMode::Zeros, ..conv.clone() });
        }
        let [n, c, h, w] = self.shape(input);
        let output = self.new_value(&format!("{name}.padded"), [n, c, h + top + bottom, w + left + right]);
        let (before, mode) = ([0, 0, top, left], conv.padding_mode);
        self.push(Step::Pad(Pad { before, mode, value: 0.0, input, output }));
        (output, Conv2d { padding: [0; 4], padding_mode: PaddingMode::Zeros, ..conv.clone() })
    }

    /// A sub-pixel convolution and, where there is a stride, its interleaving.
    fn transposed(&mut self, node: &Node, conv: &ConvTranspose2d, input: ValueId, output: ValueId) -> Result<()> {
        let weight = self.model.tensor(&format!("{}.weight", node.name), &conv.kernel_shape())?;
        let [n, _, height, width] = self.shape(input);
        let [_, _, out_height, out_width] = self.shape(output);
        let sub_pixel = SubPixel::new(conv, [height, width], [out_height, out_width]);
        sub_pixel.conv.check().map_err(|reason| Error::node(&node.name, reason))?;
        let parts = sub_pixel.parts[0] * sub_pixel.parts[1];
        let bias = self.bias(node, conv.bias, conv.out_channels)?;
        let kernel = Kernel {
            name: node.name.clone(),
            source: KernelSource::Plain(sub_pixel.kernel(conv, weight.data())),
            bias: bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, parts)).collect(),
            conv: sub_pixel.conv.clone(),
        };
        let Some(view) = sub_pixel.view.clone() else {
            self.push_conv(kernel, input, output);
            return Ok(());
        };
        let [rows, columns] = sub_pixel.computed([height, width]);
        let blocks = self.new_value(&format!("{}.parts", node.name), [n, kernel.conv.out_channels, rows, columns]);
        self.push_conv(kernel, input, blocks);
        self.push(Step::Rearrange { view, input: blocks, output });
        Ok(())
    }

    /// Depthwise with D, which carries the geometry (channel `c·S + s`), then grouped 1×1 with W.
    fn feature_composition(
        &mut self,
        name: &str,
        conv: &Conv2d,
        composed: Composed,
        bias: Vec<f32>,
        input: ValueId,
        output: ValueId,
    ) -> Result<()> {
        let Composed { w, d, attributes } = composed;
        if !has_feature_form(conv, attributes.pairing) {
            return Err(Error::Unsupported(format!(
                "{name}: with {} groups of {} inputs and {} outputs the torch pairing lets one input channel meet \
                 several D, which feature composition cannot express; use mode folded or kernel",
                conv.groups,
                conv.channels_per_group(),
                conv.outputs_per_group()
            )));
        }
        let s = attributes.d_mul;
        let [n, _, height, width] = self.shape(output);
        let middle = self.new_value(&format!("{name}.D"), [n, conv.in_channels * s, height, width]);
        let depthwise = Conv2d {
            out_channels: conv.in_channels * s,
            groups: conv.in_channels,
            bias: false,
            doconv: None,
            ..conv.clone()
        };
        let pointwise =
            Conv2d { groups: conv.groups, bias: true, ..Conv2d::new(conv.in_channels * s, conv.out_channels, [1, 1]) };
        self.push_conv(
            Kernel {
                name: format!("{name}.D"),
                bias: vec![0.0; depthwise.out_channels],
                source: KernelSource::Plain(taps_last(&d)),
                conv: depthwise,
            },
            input,
            middle,
        );
        let source = KernelSource::Plain(w.into_data());
        self.push_conv(Kernel { name: format!("{name}.W"), conv: pointwise, source, bias }, middle, output);
        Ok(())
    }

    /// A convolution whose kernel is as large as the map: the weights of a linear layer over NCHW features are just
    /// such a kernel in OIHW.
    fn linear(&mut self, node: &Node, linear: &Linear, input: ValueId, output: ValueId) -> Result<()> {
        let [_, channels, height, width] = self.plan.values[input.0].shape;
        let conv = Conv2d { bias: linear.bias, ..Conv2d::new(channels, linear.out_features, [height, width]) };
        let weight = format!("{}.weight", node.name);
        let weight = self.model.tensor(&weight, &[linear.out_features, linear.in_features])?;
        let bias = self.bias(node, linear.bias, linear.out_features)?;
        let source = KernelSource::Plain(weight.data().to_vec());
        self.push_conv(Kernel { name: node.name.clone(), conv, source, bias }, input, output);
        Ok(())
    }

    /// A batch norm that follows no convolution is a depthwise 1×1 one.
    fn batch_norm(&mut self, node: &Node, norm: &BatchNorm, input: ValueId, output: ValueId) -> Result<()> {
        #[cfg(training)]
        if self.training.as_ref().is_some_and(|training| (training.trains)(&format!("{}.weight", node.name))) {
            self.trained_norm(node, norm, input, output);
            return Ok(());
        }
        let affine = Affine::of(&node.name, norm, self.model.weights())?;
        let channels = affine.scale.len();
        let conv = Conv2d { groups: channels, bias: true, ..Conv2d::new(channels, channels, [1, 1]) };
        let source = KernelSource::Plain(affine.scale.iter().map(|&scale| scale as f32).collect());
        let bias = affine.shift.iter().map(|&shift| shift as f32).collect();
        self.push_conv(Kernel { name: node.name.clone(), conv, source, bias }, input, output);
        Ok(())
    }

    #[cfg(training)]
    fn trained_norm(&mut self, node: &Node, norm: &BatchNorm, input: ValueId, output: ValueId) {
        let shape = [2, norm.channels, 1, 1];
        let statistics = self.new_value(&format!("{}.statistics", node.name), shape);
        let affine = self.new_value(&format!("{}.parameters", node.name), shape);
        self.push(Step::Train(TrainStep::BatchStatistics { input, output: statistics }));
        let eps = norm.eps as f32;
        let (residual, activation) = (None, None);
        let normalise = Normalise { eps, input, statistics, affine, residual, activation, output };
        self.push(Step::Train(TrainStep::Normalise(normalise)));
        if let Some(training) = &mut self.training {
            training.norms.push(TrainedNorm { name: node.name.clone(), input, statistics, affine });
        }
    }
}

/// What every WebGPU device can bind at once: 128 MiB, less what padding to whole vectors may add.
const MOST_KERNEL_ELEMENTS: usize = (120 << 20) / size_of::<f32>();

/// The parts of a kernel that is too large for some devices (the first fully connected layer of VGG-16 has 411 MB), each
/// for some of the output channels; none for one that is not.
fn split(kernel: &Kernel) -> Vec<Kernel> {
    let (conv, KernelSource::Plain(values)) = (&kernel.conv, &kernel.source) else { return vec![] };
    let row = conv.in_channels * conv.taps();
    if values.len() <= MOST_KERNEL_ELEMENTS || conv.groups != 1 {
        return vec![];
    }
    // Whole vectors of outputs.
    let outputs = (MOST_KERNEL_ELEMENTS / row / 4 * 4).max(4);
    let part = |(index, values): (usize, &[f32])| {
        let out_channels = values.len() / row;
        Kernel {
            name: format!("{}.part{index}", kernel.name),
            conv: Conv2d { out_channels, ..conv.clone() },
            source: KernelSource::Plain(values.to_vec()),
            bias: kernel.bias[index * outputs..][..out_channels].to_vec(),
        }
    };
    values.chunks(outputs * row).enumerate().map(part).collect()
}

/// `[in, K, S]` as the OIHW kernel of a depthwise convolution: `[in·S, 1, K]`.
fn taps_last(d: &Tensor) -> Vec<f32> {
    let &[channels, taps, s] = d.shape() else { unreachable!("an effective D has three axes") };
    let mut kernel = Vec::with_capacity(d.data().len());
    for channel in 0..channels {
        for column in 0..s {
            kernel.extend((0..taps).map(|m| d.data()[(channel * taps + m) * s + column]));
        }
    }
    kernel
}
