//! `doconv info`: what a model file holds.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use doconv::Model;
use doconv::network::{LayerCost, NetworkCost, Node, Op, Shape};
use serde::Serialize;

use super::model::{Arch, Opened, bundled};
use super::{output, table};

/// Show layers, shapes, parameters and multiply-accumulates of a model
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv info
  doconv info model.safetensors
  doconv info model.safetensors --json
  doconv info checkpoint.pth --arch resnet18

Shapes and counts are for one image. MACs are multiply-accumulates: of the folded network, with kernels composed for
every run, and with D and W applied to features one after the other.")]
pub struct Arguments {
    /// Model file, ONNX file, `cifar10` for the bundled CIFAR-10 network, or with --arch a file of weights [default: the
    /// bundled ImageNet network]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    #[command(flatten)]
    arch: Arch,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    name: String,
    file: Option<String>,
    file_bytes: usize,
    dtype: String,
    state: &'static str,
    doconv_layers: usize,
    composed_layers: usize,
    classes: usize,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    layers: Vec<Layer>,
    totals: Counts,
}

/// A named array of a batch of one.
#[derive(Serialize)]
struct Array {
    name: String,
    shape: Vec<usize>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    op: &'static str,
    doconv: bool,
    output_shape: Shape,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    parameters: u64,
    parameters_composed: u64,
    macs_folded: u64,
    macs_kernel: u64,
    macs_feature: u64,
}

pub fn main(arguments: Arguments) -> Result<()> {
    let file = arguments.model.as_ref().filter(|path| bundled(path).is_none()).map(|path| path.display().to_string());
    let opened = arguments.arch.open_or_bundled_file(arguments.model.as_deref())?;
    let document = Document::new(&opened, file)?;
    if arguments.json { output::print_json(&document) } else { output::print(&document.to_text()) }
}

/// How many layers of a model hold W and D.
pub fn composed_layers(model: &Model) -> usize {
    let holds = |node: &Node| model.weights().contains_key(&format!("{}.W", node.name));
    model.convolutions().filter(|(node, _)| holds(node)).count()
}

impl Document {
    fn new(opened: &Opened, file: Option<String>) -> Result<Self> {
        let model = &opened.model;
        let network = model.network();
        let inferred = network.infer(1)?;
        let shapes: HashMap<&str, Shape> =
            network.nodes.iter().map(|node| node.name.as_str()).zip(inferred.nodes.iter().copied()).collect();
        let ops: HashMap<&str, &Op> = network.nodes.iter().map(|node| (node.name.as_str(), &node.op)).collect();
        let cost = network.cost()?;
        let layer = |layer: &LayerCost| {
            let op = ops.get(layer.name.as_str());
            Layer {
                name: layer.name.clone(),
                op: op.map_or("", |op| op.name()),
                doconv: matches!(op, Some(Op::Conv2d(conv)) if conv.doconv.is_some() && conv.taps() > 1),
                output_shape: layer.output,
                counts: Counts::new(|figure| figure(layer)),
            }
        };
        let layers: Vec<Layer> = cost.layers.iter().map(layer).collect();
        let doconv_layers = layers.iter().filter(|layer| layer.doconv).count();
        let composed_layers = composed_layers(model);
        let array = |name: &String, shape: &[usize]| Array { name: name.clone(), shape: shape.to_vec() };
        let output = |name: &String| array(name, shapes.get(name.as_str()).map_or(&[], |shape| shape.as_slice()));
        Ok(Self {
            name: network.name.clone(),
            file,
            file_bytes: opened.file_bytes,
            dtype: opened.dtypes.clone(),
            state: match (doconv_layers, composed_layers) {
                (_, 1..) => "composed",
                (1.., 0) => "folded",
                (0, 0) => "plain",
            },
            doconv_layers,
            composed_layers,
            classes: network.labels.len(),
            inputs: network
                .inputs
                .iter()
                .map(|input| array(&input.name, &[[1].as_slice(), input.shape.as_slice()].concat()))
                .collect(),
            outputs: network.outputs.iter().map(output).collect(),
            layers,
            totals: Counts::of_network(&cost),
        })
    }

    fn to_text(&self) -> String {
        let mut rows = vec![];
        let mut line = |what: &str, value: String| rows.push(vec![what.to_string(), value]);
        line("network", self.name.clone());
        line(
            "file",
            format!("{} ({})", self.file.as_deref().unwrap_or("bundled"), output::bytes(self.file_bytes as u64)),
        );
        line("numbers", self.dtype.clone());
        line(
            "DO-Conv",
            match self.state {
                "plain" => "no layers".into(),
                state => format!("{} layers, {} of them composed ({state})", self.doconv_layers, self.composed_layers),
            },
        );
        for (what, arrays) in [("input", &self.inputs), ("output", &self.outputs)] {
            arrays.iter().for_each(|array| line(what, format!("{} {}", array.name, table::shape(&array.shape))));
        }
        line("class names", self.classes.to_string());
        let mut text = table::align(&rows, &[]) + "\n";

        let head = ["layer", "operator", "output", "parameters", "MACs folded", "MACs kernel", "MACs feature"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for layer in &self.layers {
            let op = if layer.doconv { format!("{} (do)", layer.op) } else { layer.op.into() };
            rows.push([vec![layer.name.clone(), op, table::shape(&layer.output_shape)], layer.counts.cells()].concat());
        }
        rows.push([vec!["total".into(), String::new(), String::new()], self.totals.cells()].concat());
        text += &table::align(&rows, &[3, 4, 5, 6]);
        text + &format!("parameters with W and D: {}\n", table::count(self.totals.parameters_composed))
    }
}

impl Counts {
    fn new(value: impl Fn(fn(&LayerCost) -> u64) -> u64) -> Self {
        Self {
            parameters: value(|layer| layer.parameters),
            parameters_composed: value(|layer| layer.parameters_composed),
            macs_folded: value(|layer| layer.macs_folded),
            macs_kernel: value(|layer| layer.macs_kernel),
            macs_feature: value(|layer| layer.macs_feature),
        }
    }

    fn of_network(cost: &NetworkCost) -> Self {
        Self::new(|figure| cost.total(figure))
    }

    fn cells(&self) -> Vec<String> {
        [self.parameters, self.macs_folded, self.macs_kernel, self.macs_feature].map(table::count).to_vec()
    }
}
