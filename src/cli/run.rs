//! `doconv run`: a network on arrays.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use doconv::{Mode, Model, Network, Precision, Tensor, blocking};
use serde::Serialize;

use super::adapter::{AdapterArguments, AdapterJson, describe};
use super::mode::ModeName;
use super::{arrays, model, onnx, output, precision};

/// Run a network on arrays
///
/// Arrays are float32 in the order batch, channel, row, column; the batch is the first axis and free. Results of fully
/// connected layers have two axes: batch and channel. Arrays of an ONNX model have the axes that it gives them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv run model.safetensors --input x.npy --output y.npy
  doconv run model.safetensors --input x.npy --output y.npy --repeat 20 --json
  doconv run resnet18.pth --arch resnet18 --input x.npy --output y.npy
  doconv run two.safetensors --input inputs.safetensors --output outputs.safetensors

A .npy file holds the one input or output of a network (float64 and Fortran order are converted); a .safetensors file
holds several under the names that `doconv info MODEL` shows. Times include upload and read-back; the first run also
includes what is done only once, such as making buffers and compiling shaders.")]
pub struct Arguments {
    /// Model file, ONNX file, `cifar10` or `imagenet` for a bundled one, or with --arch a file of weights (.pth, .pt, .npz,
    /// .safetensors)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    arch: model::Arch,
    /// Arrays to read (.npy or .safetensors)
    #[arg(long, value_name = "IN")]
    input: PathBuf,
    /// Arrays to write (.npy or .safetensors)
    #[arg(long, value_name = "OUT")]
    output: PathBuf,
    /// How DO-Conv layers are run
    #[arg(long, value_enum, default_value_t)]
    mode: ModeName,
    /// Run so many times more and report the times
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeat: usize,
    #[command(flatten)]
    adapter: AdapterArguments,
    /// Print one JSON document: {"adapter": …, "precision": …, "load_ms": …, "first_ms": …, "samples_ms": […]}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    adapter: AdapterJson<'a>,
    model: &'a str,
    mode: &'static str,
    precision: Precision,
    load_ms: f64,
    first_ms: f64,
    samples_ms: Vec<f64>,
}

pub fn main(arguments: Arguments) -> Result<()> {
    model::check_writable(&arguments.output)?;
    let start = Instant::now();
    let loaded = Loaded::open(&arguments)?;
    let reading_ms = output::elapsed_ms(start);
    let (model, outputs) = (loaded.model(), loaded.outputs());
    let network = model.network();
    arrays::Kind::of(&arguments.output, &outputs)?;
    let inputs = loaded.inputs(&arguments)?;

    let adapter = arguments.adapter.open()?;
    let mode = Mode::from(arguments.mode);
    let start = Instant::now();
    let mut session = blocking::Session::load(&adapter, model, mode)?;
    let load_ms = output::round_ms(reading_ms + output::elapsed_ms(start));

    let in_file = || arguments.input.display().to_string();
    let start = Instant::now();
    let results = session.run(&inputs).with_context(in_file)?;
    let first_ms = output::elapsed_ms(start);
    let mut samples_ms = vec![];
    for _ in 0..arguments.repeat {
        let start = Instant::now();
        session.run(&inputs).with_context(in_file)?;
        samples_ms.push(output::elapsed_ms(start));
    }

    arrays::write(&arguments.output, &outputs, &loaded.shaped(results)?)?;
    let (adapter, model, mode) = (adapter.info(), network.name.as_str(), mode.name());
    let precision = session.inner().precision();
    if arguments.json {
        let adapter = AdapterJson::from(adapter);
        return output::print_json(&Document { adapter, model, mode, precision, load_ms, first_ms, samples_ms });
    }
    output::print(&format!(
        "{model}, {mode} mode{} on {}\n{}",
        precision::words(precision),
        describe(adapter),
        times(load_ms, first_ms, samples_ms)
    ))
}

/// A model file, or an ONNX file with the arrays it is to be run on.
enum Loaded {
    Model(Model),
    Onnx(onnx::Bound),
}

impl Loaded {
    fn open(arguments: &Arguments) -> Result<Self> {
        if arguments.arch.names_onnx(&arguments.model)? {
            return Ok(Loaded::Onnx(onnx::bind(&arguments.model, &arguments.input)?));
        }
        Ok(Loaded::Model(arguments.arch.open(&arguments.model)?))
    }

    fn model(&self) -> &Model {
        match self {
            Loaded::Model(model) => model,
            Loaded::Onnx(bound) => &bound.model,
        }
    }

    fn outputs(&self) -> Vec<&str> {
        match self {
            Loaded::Model(model) => model.network().outputs.iter().map(String::as_str).collect(),
            Loaded::Onnx(bound) => bound.output_names(),
        }
    }

    fn inputs(&self, arguments: &Arguments) -> Result<Vec<Tensor>> {
        match self {
            Loaded::Model(model) => read_inputs(arguments, model.network()),
            Loaded::Onnx(bound) => Ok(bound.inputs.clone()),
        }
    }

    /// Results with the axes that a reader of the file expects.
    fn shaped(&self, results: Vec<Tensor>) -> Result<Vec<Tensor>> {
        match self {
            Loaded::Model(model) => {
                let named = results.into_iter().zip(&model.network().outputs);
                named.map(|(tensor, name)| without_pixels(model.network(), name, tensor)).collect()
            }
            Loaded::Onnx(bound) => bound.shaped(results),
        }
    }
}

fn times(load_ms: f64, first_ms: f64, mut samples_ms: Vec<f64>) -> String {
    let mut text = format!("load {load_ms:.1} ms, first run {first_ms:.1} ms");
    samples_ms.sort_by(f64::total_cmp);
    if let [fastest, .., slowest] | [fastest @ slowest] = samples_ms.as_slice() {
        let median = samples_ms[samples_ms.len() / 2];
        text += &format!(", {} more: median {median:.2} ms ({fastest:.2} to {slowest:.2})", samples_ms.len());
    }
    text + "\n"
}

/// The inputs in the network's order, checked against its shapes.
fn read_inputs(arguments: &Arguments, network: &Network) -> Result<Vec<Tensor>> {
    let names: Vec<&str> = network.inputs.iter().map(|input| input.name.as_str()).collect();
    let arrays = arrays::read(&arguments.input, &names)?;
    let mut batch = None;
    let check = |(tensor, input): (Tensor, &doconv::network::Input)| {
        let [c, h, w] = input.shape;
        let shape = tensor.shape().to_vec();
        let fits = match *shape {
            [n, a, b, d] => n > 0 && [a, b, d] == [c, h, w],
            [n, a] => n > 0 && [a, 1, 1] == [c, h, w],
            _ => false,
        };
        let reason = if !fits {
            format!("expected [N, {c}, {h}, {w}] with N ≥ 1, the file has {shape:?}")
        } else if *batch.get_or_insert(shape[0]) != shape[0] {
            format!("its batch is {}, that of the first input {}", shape[0], batch.unwrap_or(0))
        } else {
            return Ok(tensor.reshape([shape[0], c, h, w])?);
        };
        let error = doconv::Error::Input { input: input.name.clone(), reason };
        Err(anyhow::Error::from(error).context(arguments.input.display().to_string()))
    };
    arrays.into_iter().zip(&network.inputs).map(check).collect()
}

/// Drops the two axes of one pixel where the frameworks that networks come from have none.
fn without_pixels(network: &Network, output: &str, tensor: Tensor) -> Result<Tensor> {
    match *tensor.shape() {
        [n, channels, 1, 1] if network.vectors().contains(output) => Ok(tensor.reshape([n, channels])?),
        _ => Ok(tensor),
    }
}
