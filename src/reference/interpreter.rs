//! The reference interpreter: evaluates a network node by node.

use super::{
    Map, activation, avg_pool, batch_norm, binary, concat, conv_transpose2d, conv2d, effective_d, flatten, fold,
    global_avg_pool, global_max_pool, linear, log_softmax, lrn, max_pool, pad, reshape, resize, slice, softmax,
    transpose,
};
use crate::network::{Conv2d, Inferred, Node, Op, Source};
use crate::{Error, Model, Result, Tensor};

/// Evaluates a model's network on NCHW arrays of one batch size and gives its outputs, in the network's order.
///
/// DO-Conv layers that hold W and D are folded in f64.
///
/// # Errors
/// [`Error::Input`] if the arrays do not fit the network's inputs.
pub fn run(model: &Model, inputs: &[Tensor]) -> Result<Vec<Map>> {
    let (batch, inferred, inputs) = checked(model, inputs)?;
    let mut values: Vec<Map> = vec![];
    for (node, edges) in model.network().nodes.iter().zip(&inferred.edges) {
        let read: Vec<&Map> = edges.iter().map(|&source| pick(&inputs, &values, source)).collect();
        values.push(value(model, node, &read, batch)?);
    }
    Ok(inferred.outputs.iter().map(|&source| pick(&inputs, &values, source).clone()).collect())
}

/// The value of a source among those known so far.
pub(super) fn pick<'a, T>(inputs: &'a [T], nodes: &'a [T], source: Source) -> &'a T {
    match source {
        Source::Input(index) => &inputs[index],
        Source::Node(index) => &nodes[index],
    }
}

/// The batch size and the inputs as maps, if they are what the network wants.
pub(super) fn checked(model: &Model, inputs: &[Tensor]) -> Result<(usize, Inferred, Vec<Map>)> {
    let wanted = &model.network().inputs;
    let fail = |input: &str, reason: String| Err(Error::Input { input: input.into(), reason });
    if wanted.len() != inputs.len() {
        return fail(&wanted[0].name, format!("the network takes {} arrays, got {}", wanted.len(), inputs.len()));
    }
    let batch = inputs[0].shape().first().copied().unwrap_or(0) / wanted[0].items;
    let inferred = model.network().infer(batch)?;
    for ((input, tensor), shape) in wanted.iter().zip(inputs).zip(&inferred.inputs) {
        if tensor.shape() != shape {
            return fail(&input.name, format!("expected shape {shape:?}, got {:?}", tensor.shape()));
        }
    }
    Ok((batch, inferred, inputs.iter().map(Map::from_tensor).collect::<Result<_>>()?))
}

/// What one node makes of its inputs.
pub(super) fn value(model: &Model, node: &Node, inputs: &[&Map], batch: usize) -> Result<Map> {
    let part = |part: &str| parameter(model, node, part);
    if let Op::Constant([items, c, h, w]) = node.op {
        return Ok(Map { shape: [batch * items, c, h, w], data: part("value")?.repeat(batch) });
    }
    let input = inputs[0];
    Ok(match &node.op {
        Op::Conv2d(conv) => {
            let bias = conv.bias.then(|| part("bias")).transpose()?;
            conv2d(conv, input, &ConvKernel::new(model, node, conv)?.kernel, bias.as_deref())
        }
        Op::BatchNorm(norm) => {
            batch_norm(input, &part("weight")?, &part("bias")?, &part("running_mean")?, &part("running_var")?, norm.eps)
        }
        Op::Activation(function) => activation(*function, input),
        Op::Linear(attributes) => {
            let bias = attributes.bias.then(|| part("bias")).transpose()?;
            linear(input, &part("weight")?, bias.as_deref())
        }
        Op::MaxPool(pool) => max_pool(pool, input),
        Op::AvgPool(pool) => avg_pool(pool, input),
        Op::GlobalAvgPool => global_avg_pool(input),
        Op::GlobalMaxPool => global_max_pool(input),
        Op::ConvTranspose2d(conv) => {
            let bias = conv.bias.then(|| part("bias")).transpose()?;
            conv_transpose2d(conv, input, &part("weight")?, bias.as_deref())
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Prelu => binary(&node.op, batch, input, inputs[1]),
        Op::Constant(_) => unreachable!("constants have no inputs"),
        Op::Reshape(shape) => reshape(*shape, batch, input),
        Op::Transpose(axes) => transpose(*axes, batch, input),
        Op::Slice(part) => slice(part, batch, input),
        Op::Pad(around) => pad(around, batch, input),
        Op::Resize(attributes) => resize(attributes, input),
        Op::Lrn(attributes) => lrn(attributes, input),
        Op::LogSoftmax => log_softmax(input),
        Op::Concat => concat(inputs),
        Op::Flatten => flatten(input),
        Op::Softmax => softmax(input),
    })
}

/// The kernel of a convolution, however the model holds it.
pub(super) struct ConvKernel {
    /// OIHW.
    pub kernel: Vec<f64>,
    /// For every element, the sum of the absolute values of the products that may have to be added up to get it.
    pub magnitude: Vec<f64>,
    /// How many products there are in one output value when each is formed by itself.
    pub terms: usize,
}

impl ConvKernel {
    pub(super) fn new(model: &Model, node: &Node, conv: &Conv2d) -> Result<Self> {
        let taps = conv.taps();
        let plain_terms = conv.channels_per_group() * taps;
        let has = |part: &str| model.weights().contains_key(&format!("{}.{part}", node.name));
        let part = |part: &str| parameter(model, node, part);
        let plain = |kernel: Vec<f64>| {
            let magnitude = kernel.iter().map(|value| value.abs()).collect();
            Self { kernel, magnitude, terms: plain_terms }
        };
        let Some(doconv) = conv.doconv.filter(|_| taps > 1) else {
            return Ok(plain(part(if has("weight") { "weight" } else { "W" })?));
        };
        let terms = plain_terms + conv.channels_per_group() * doconv.d_mul;
        if has("weight") {
            // Such a layer may be expanded with a D near the identity. Every product D·W is then at most about as large
            // as the slice's largest element, and so is the sum of those with D's small off-diagonal elements.
            let kernel = part("weight")?;
            let largest = |slice: &[f64]| slice.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            let magnitude = kernel.chunks(taps).flat_map(|slice| vec![2.0 * largest(slice); taps]).collect();
            return Ok(Self { kernel, magnitude, terms });
        }
        let constant = ["d_diag", "D_diag"].into_iter().find(|name| has(name)).map(part).transpose()?;
        let w = part("W")?;
        let d = effective_d(conv, doconv.d_mul, &part("D")?, constant.as_deref());
        let kernel = fold(conv, doconv.d_mul, doconv.pairing, &w, &d);
        let absolute = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<f64>>();
        let magnitude = fold(conv, doconv.d_mul, doconv.pairing, &absolute(&w), &absolute(&d));
        Ok(Self { kernel, magnitude, terms })
    }
}

/// A parameter of a node in f64.
pub(super) fn parameter(model: &Model, node: &Node, part: &str) -> Result<Vec<f64>> {
    let name = format!("{}.{part}", node.name);
    let tensor = model.weights().get(&name).ok_or_else(|| Error::weight(name, "missing"))?;
    Ok(tensor.data().iter().map(|&value| f64::from(value)).collect())
}
