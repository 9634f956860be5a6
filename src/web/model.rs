//! Model files as they come from a page, and what is to be told about them.

use js_sys::Uint8Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::message;
use super::options::{self, LoadOptions};
use crate::doconv;
use crate::formats::{self, NETWORK_KEY};
use crate::model::ConvWeights;
use crate::network::{Conv2d, Node};
use crate::{Error, Mode, Model, Result};

/// The tag of the first field of an ONNX file, its version.
const ONNX_START: u8 = 8;

/// A model, and what its file said of it.
pub(super) struct Opened {
    pub(super) model: Model,
    pub(super) info: ModelInfo,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelInfo {
    name: String,
    classes: usize,
    parameters: u64,
    input: [usize; 3],
    doconv_layers: usize,
    composed_layers: usize,
    says_preprocess: bool,
    has_labels: bool,
    macs: Macs,
}

/// Multiply-accumulates for one image.
#[derive(Clone, Copy, Debug, Serialize)]
struct Macs {
    folded: u64,
    kernel: u64,
    feature: u64,
}

impl ModelInfo {
    pub(super) fn macs(&self, mode: Mode) -> u64 {
        match mode {
            Mode::Folded => self.macs.folded,
            Mode::Kernel => self.macs.kernel,
            Mode::Feature => self.macs.feature,
        }
    }
}

/// A layer with a D and a W, marked so or composed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DoConvLayer {
    name: String,
    kernel: [usize; 2],
    in_channels: usize,
    out_channels: usize,
    groups: usize,
    d_mul: usize,
}

/// What one kernel of a layer is made of.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    pub(super) d: Vec<f32>,
    pub(super) w: Vec<f32>,
    pub(super) kernel: Vec<f32>,
    pub(super) kernel_size: [usize; 2],
    pub(super) d_mul: usize,
    pub(super) input_channel: usize,
}

#[wasm_bindgen(raw_module = "./onnx.js")]
extern "C" {
    #[wasm_bindgen(js_name = onnxToModelFile, catch)]
    async fn onnx_to_model_file(name: &str, bytes: &Uint8Array) -> Result<JsValue, JsValue>;
}

/// A model file, in the module's memory and outside.
pub(super) struct ModelFile {
    bytes: Vec<u8>,
    pub(super) outside: Uint8Array,
}

/// Takes a model file, or makes one of an ONNX file: a `Uint8Array` or an `ArrayBuffer`.
pub(super) async fn take(file: &JsValue, options: &LoadOptions) -> Result<ModelFile> {
    let (name, outside) = (name(options), Uint8Array::new(file));
    let bytes = outside.to_vec();
    if !is_onnx(name, &bytes)? {
        return Ok(ModelFile { bytes, outside });
    }
    drop(bytes);
    let converted = onnx_to_model_file(name, &outside).await.map_err(|error| Error::Unsupported(message(&error)))?;
    let outside = Uint8Array::new(&converted);
    Ok(ModelFile { bytes: outside.to_vec(), outside })
}

/// What errors call a file.
fn name(options: &LoadOptions) -> &str {
    options.name.as_deref().unwrap_or("model")
}

/// Reads a model file.
pub(super) fn open(file: ModelFile, options: &LoadOptions) -> Result<Opened> {
    let mut model = Model::from_bytes(name(options), &file.bytes)?;
    drop(file);
    let network = model.network();
    let (says_preprocess, has_labels) = (network.preprocess.is_some(), !network.labels.is_empty());
    if let Some(preset) = options.preprocess.as_deref().filter(|_| !says_preprocess) {
        model = model.with_preprocess(Some(options::preset(preset)?))?;
    }
    if let Some(labels) = options.labels.as_ref().filter(|_| !has_labels) {
        model = model.with_labels(labels.clone())?;
    }
    let composed_layers = doconv_convolutions(&model).filter(|(node, _)| is_composed(&model, node)).count();
    if options.expand {
        model = crate::plan::expand_marked(&model)?;
    }
    let network = model.network();
    let inferred = network.infer(1)?;
    let cost = network.cost()?;
    let output = network.nodes.iter().position(|node| Some(&node.name) == network.outputs.first());
    let info = ModelInfo {
        name: network.name.clone(),
        classes: output.map_or(0, |index| inferred.nodes[index].iter().product()),
        parameters: cost.total(|layer| layer.parameters),
        input: network.inputs.first().map_or([0; 3], |input| input.shape),
        doconv_layers: doconv_convolutions(&model).count(),
        composed_layers,
        says_preprocess,
        has_labels,
        macs: Macs {
            folded: cost.total(|layer| layer.macs_folded),
            kernel: cost.total(|layer| layer.macs_kernel),
            feature: cost.total(|layer| layer.macs_feature),
        },
    };
    Ok(Opened { model, info })
}

/// Whether a file is ONNX rather than a model file; an error if it is neither.
fn is_onnx(name: &str, bytes: &[u8]) -> Result<bool> {
    if formats::is_model_file(bytes) {
        return Ok(false);
    }
    // A safetensors file has a brace after the length of its header.
    if bytes.get(8) == Some(&b'{') {
        let (_, metadata) = formats::read_tensors(name, bytes)?;
        let lacks = if metadata.contains_key(NETWORK_KEY) { "is damaged" } else { "is not there" };
        return Err(Error::ModelFile {
            name: name.into(),
            reason: format!(
                "it holds weights, but the description of the network (`{NETWORK_KEY}`) {lacks}; \
                 `doconv fold IN OUT --arch NAME` makes a model file of it"
            ),
        });
    }
    if bytes.is_empty() {
        return Err(Error::Unsupported(format!("{name}: an empty file")));
    }
    if bytes[0] != ONNX_START && !name.to_lowercase().ends_with(".onnx") {
        return Err(Error::Unsupported(format!("{name}: neither a model file (.safetensors) nor ONNX")));
    }
    Ok(true)
}

fn doconv_convolutions(model: &Model) -> impl Iterator<Item = (&Node, &Conv2d)> {
    model.convolutions().filter(|(_, conv)| conv.doconv.is_some() && conv.taps() > 1)
}

fn is_composed(model: &Model, node: &Node) -> bool {
    model.weights().contains_key(&format!("{}.W", node.name))
}

/// The layers that have a D and a W now.
pub(super) fn layers(model: &Model) -> Vec<DoConvLayer> {
    let layer = |(node, conv): (&Node, &Conv2d)| DoConvLayer {
        name: node.name.clone(),
        kernel: conv.kernel,
        in_channels: conv.in_channels,
        out_channels: conv.out_channels,
        groups: conv.groups,
        d_mul: conv.doconv.map_or(0, |doconv| doconv.d_mul),
    };
    doconv_convolutions(model).filter(|(node, _)| is_composed(model, node)).map(layer).collect()
}

/// D, w and the kernel for one output channel and one of its input channels.
pub(super) fn factors(model: &Model, layer: &str, output: usize, input: usize) -> Result<Factors> {
    let found = model.convolutions().find(|(node, _)| node.name == layer);
    let (node, conv) = found.ok_or_else(|| Error::Unsupported(format!("there is no convolution `{layer}`")))?;
    let cpg = conv.channels_per_group();
    if output >= conv.out_channels || input >= cpg {
        return Err(Error::Unsupported(format!(
            "`{layer}` has {} output channels with {cpg} input channels each; there is no {output}, {input}",
            conv.out_channels
        )));
    }
    let ConvWeights::Composed(composed) = model.conv_weights(node, conv)? else {
        return Err(Error::Unsupported(format!("`{layer}` holds an ordinary kernel, no D and W")));
    };
    let (taps, s) = (conv.taps(), composed.attributes.d_mul);
    let input_channel = conv.d_channel(composed.attributes.pairing, output, input);
    let d = composed.d.data()[input_channel * taps * s..][..taps * s].to_vec();
    let w = composed.w.data()[(output * cpg + input) * s..][..s].to_vec();
    let mut kernel = vec![0.0; taps];
    doconv::compose(&d, &w, &mut kernel);
    Ok(Factors { d, w, kernel, kernel_size: conv.kernel, d_mul: s, input_channel })
}
