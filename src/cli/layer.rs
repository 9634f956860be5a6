//! `doconv layer`: a single DO-Conv layer, its gradients, and whether they are what a file says.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use doconv::formats::LayerFile;
use doconv::{Dtype, Mode, Tensor, Weights, blocking, formats};
use serde::Serialize;

use super::adapter::{AdapterArguments, AdapterJson, describe};
use super::mode::ModeName;
use super::{model, output, table};

/// Run a single DO-Conv layer, forward and backward
///
/// IN holds the layer's parameters and an input; OUT gets the folded kernel and the output, and with --backward the
/// gradients of the input and of all parameters. Everything is computed on the adapter in the mode.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv layer layer.safetensors results.safetensors
  doconv layer layer.safetensors results.safetensors --backward --mode kernel
  doconv layer recorded.safetensors --verify       compare with the results that the file holds
  doconv layer recorded.safetensors --verify --adapter llvmpipe --json

IN is a safetensors file with the tensors
  input        [N, C, H, W]
  W            [out, C / groups, S]
  D            [C, K, S], the residual; absent for 1×1 kernels
  d_diag       [C, K, S], optional: the constant added to D; the identity where it is absent
  bias         [out], where the layer has one
  grad_output  the shape of the output, for --backward
and a metadata entry `layer`, JSON such as
  {\"in_channels\": 3, \"out_channels\": 8, \"kernel_size\": [3, 3], \"d_mul\": 9, \"stride\": [1, 1],
   \"padding\": [1, 1], \"dilation\": [1, 1], \"groups\": 1, \"padding_mode\": \"zeros\", \"bias\": true,
   \"pairing\": \"paper\"}
padding may have four values: top, left, bottom, right. padding_mode is zeros, reflect, replicate or circular. pairing
says which D belongs to which channel of a grouped layer: paper, or torch for the authors' PyTorch layer. One-dimensional
layers have maps [N, C, L] and sizes of one number.

OUT gets `folded` [out, C / groups, rows, columns], `output`, and with --backward `grad_input`, `grad_W`, `grad_D` and
`grad_bias`. --verify compares with tensors of these names in IN. An error is a fraction of the range of the recorded
tensor, which is its largest absolute value. Exit status 1 where a tensor is further off than it may be.")]
pub struct Arguments {
    /// Layer file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to write the results to (.safetensors)
    #[arg(value_name = "OUT", required_unless_present = "verify")]
    output: Option<PathBuf>,
    /// How the layer is run
    #[arg(long, value_enum, default_value_t)]
    mode: ModeName,
    /// Compute the gradients too; IN must hold grad_output
    #[arg(long)]
    backward: bool,
    /// Compare with the results that IN holds, gradients included
    #[arg(long)]
    verify: bool,
    /// How far `folded` and `output` may be off, as a fraction of the recorded tensor's range
    #[arg(long, value_name = "FRACTION", default_value_t = 1e-4, value_parser = fraction, requires = "verify")]
    tolerance: f64,
    /// The same for gradients
    #[arg(long, value_name = "FRACTION", default_value_t = 1e-3, value_parser = fraction, requires = "verify")]
    gradient_tolerance: f64,
    #[command(flatten)]
    adapter: AdapterArguments,
    /// Print one JSON document: {"adapter": …, "mode": …, "shapes": {…}, "elapsed_ms": …, "verified": [{"tensor": …,
    /// "max_absolute": …, "max_relative": …, "tolerance": …, "passed": …}], "passed": …}
    #[arg(long)]
    json: bool,
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number that is at least 0".into()),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    adapter: AdapterJson<'a>,
    mode: &'static str,
    shapes: std::collections::BTreeMap<&'a str, &'a [usize]>,
    elapsed_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<&'a [Comparison]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<bool>,
}

pub fn main(arguments: Arguments) -> Result<()> {
    if let Some(path) = &arguments.output {
        model::check_writable(path)?;
    }
    let name = arguments.input.display();
    let file = LayerFile::open(&arguments.input)?;
    let recorded = file.recorded();
    if arguments.verify && recorded.is_empty() {
        bail!("{name}: nothing to verify: the file holds none of folded, output and the gradients");
    }
    let recorded_gradient = recorded.keys().find(|tensor| is_gradient(tensor)).filter(|_| arguments.verify);
    if file.grad_output().is_none() {
        if arguments.backward {
            bail!("{name}: there is no tensor `grad_output`, which --backward starts from");
        }
        if let Some(gradient) = recorded_gradient {
            bail!("{name}: there is no tensor `grad_output`, without which `{gradient}` cannot be verified");
        }
    }
    let conv = file.layer().conv();
    if let Some(attributes) = conv.doconv.filter(|attributes| attributes.d_mul < conv.taps()) {
        output::note(&format!(
            "warning: d_mul {} is below the {} taps: the folded kernels cannot be just any",
            attributes.d_mul,
            conv.taps()
        ));
    }
    let adapter = arguments.adapter.open()?;
    let mode = Mode::from(arguments.mode);
    let grad_output = file.grad_output().filter(|_| arguments.backward || recorded_gradient.is_some());
    let start = Instant::now();
    let results = blocking::run_layer(file.layer(), &adapter, mode, file.input(), grad_output)?;
    let elapsed_ms = output::elapsed_ms(start);
    let results = file.results(results)?;
    if let Some(path) = &arguments.output {
        let tensors = results.iter().map(|(name, tensor)| (name.as_str(), tensor));
        formats::write_file(path, &formats::write_tensors(tensors, &Default::default(), Dtype::F32)?)?;
    }

    let verified = arguments.verify.then(|| verify(&arguments, recorded, &results));
    let passed = verified.as_ref().map(|verified| verified.iter().all(|comparison| comparison.passed));
    if arguments.json {
        let shapes = results.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        let (adapter, mode) = (AdapterJson::from(adapter.info()), mode.name());
        output::print_json(&Document { adapter, mode, shapes, elapsed_ms, verified: verified.as_deref(), passed })?;
    } else {
        let title = format!("{} mode on {}, {elapsed_ms:.1} ms\n", mode.name(), describe(adapter.info()));
        let body = match &verified {
            Some(verified) => comparisons(verified),
            None => shapes(&results),
        };
        output::print(&(title + &body))?;
    }
    if passed == Some(false) {
        let wrong = verified.iter().flatten().filter(|comparison| !comparison.passed);
        let wrong: Vec<_> = wrong.map(|comparison| comparison.tensor.as_str()).collect();
        bail!("{name}: further off than the tolerance: {}", wrong.join(", "));
    }
    Ok(())
}

fn is_gradient(tensor: &str) -> bool {
    tensor.starts_with("grad_")
}

/// How a result compares with the recorded one.
#[derive(Debug, Serialize)]
struct Comparison {
    tensor: String,
    /// The largest difference; JSON has `null` where a result is not finite.
    max_absolute: f64,
    /// The same as a fraction of the recorded tensor's largest absolute value.
    max_relative: f64,
    tolerance: f64,
    passed: bool,
}

impl Comparison {
    fn new(name: &str, tolerance: f64, got: &Tensor, want: &Tensor) -> Self {
        let range = want.data().iter().fold(0.0f64, |range, &value| range.max(f64::from(value.abs())));
        let off = |(&got, &want): (&f32, &f32)| (f64::from(got) - f64::from(want)).abs();
        let pairs = got.data().iter().zip(want.data());
        // Not a number must not pass for a small difference.
        let max_absolute =
            pairs.map(off).fold(0.0, |worst, off| if off.is_nan() { f64::INFINITY } else { f64::max(worst, off) });
        let max_relative = if max_absolute == 0.0 { 0.0 } else { max_absolute / range };
        let passed = got.shape() == want.shape() && max_relative <= tolerance;
        Self { tensor: name.into(), max_absolute, max_relative, tolerance, passed }
    }
}

fn verify(arguments: &Arguments, recorded: &Weights, results: &Weights) -> Vec<Comparison> {
    let compare = |(name, want): (&String, &Tensor)| {
        let tolerance = if is_gradient(name) { arguments.gradient_tolerance } else { arguments.tolerance };
        // The file says that a layer has this result only if it has.
        Comparison::new(name, tolerance, results.get(name).unwrap_or(&Tensor::zeros([0])), want)
    };
    recorded.iter().map(compare).collect()
}

fn comparisons(verified: &[Comparison]) -> String {
    let verdict = |passed: bool| if passed { "passed" } else { "FAILED" };
    let header = ["tensor", "max absolute", "max relative", "tolerance", ""].map(String::from).to_vec();
    let row = |comparison: &Comparison| {
        let Comparison { tensor, max_absolute, max_relative, tolerance, passed } = comparison;
        let numbers = [max_absolute, max_relative, tolerance].map(|value| format!("{value:.2e}"));
        [vec![tensor.clone()], numbers.to_vec(), vec![verdict(*passed).into()]].concat()
    };
    let rows: Vec<_> = std::iter::once(header).chain(verified.iter().map(row)).collect();
    let passed = verified.iter().filter(|comparison| comparison.passed).count();
    let all = verdict(passed == verified.len());
    format!(
        "{}{all}: {passed} of {} tensors; relative to the largest absolute value of the recorded tensor\n",
        table::align(&rows, &[1, 2, 3]),
        verified.len()
    )
}

fn shapes(results: &Weights) -> String {
    let row = |(name, tensor): (&String, &Tensor)| vec![name.clone(), table::shape(tensor.shape())];
    table::align(&results.iter().map(row).collect::<Vec<_>>(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(got: [f32; 3], want: [f32; 3]) -> bool {
        let [got, want] = [got, want].map(|values| Tensor::new([3], values.to_vec()).unwrap());
        Comparison::new("output", 1e-4, &got, &want).passed
    }

    #[test]
    fn only_what_is_close_passes() {
        let want = [1.0, -10.0, 0.0];
        assert!(compare(want, want));
        assert!(compare([1.0009, -10.0, 0.0], want));
        assert!(!compare([1.0011, -10.0, 0.0], want));
        assert!(!compare([1.0, -10.0, f32::NAN], want));
        assert!(!compare([1.0, f32::NEG_INFINITY, 0.0], want));
        assert!(compare([0.0; 3], [0.0; 3]) && !compare([0.0, 1e-9, 0.0], [0.0; 3]));
    }
}
