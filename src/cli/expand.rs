//! `doconv expand`: an ordinary network as a DO-Conv network, ready for fine-tuning.

use std::num::NonZeroUsize;

use anyhow::{Result, ensure};

use super::model::{Files, Format};
use super::output;

/// Turn ordinary convolutions into DO-Conv layers with the same function
///
/// Every convolution larger than 1×1 gets a W and a D. Layers that are composed already stay as they are.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv expand folded.safetensors trainable.safetensors
  doconv expand folded.safetensors trainable.safetensors --jitter 0.1 --seed 7
  doconv expand resnet18.pth trainable.safetensors --arch resnet18
  doconv expand folded.safetensors trainable.safetensors --d-mul 49")]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Depth multiplier, at least a kernel's number of taps [default: a layer's own, else its number of taps]
    #[arg(long, value_name = "N")]
    d_mul: Option<NonZeroUsize>,
    /// 0: the trainable D is zero; otherwise it is random with this standard deviation per √taps, and W makes up for it
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    jitter: f64,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn main(arguments: Arguments) -> Result<()> {
    ensure!(
        arguments.files.format() != Format::Onnx,
        "ONNX holds folded networks only, and an expanded network is not folded; write a model file (.safetensors)"
    );
    let model = arguments.files.read()?;
    let before = super::info::composed_layers(&model);
    let expanded = model.expand(arguments.d_mul.map(NonZeroUsize::get), arguments.jitter, arguments.seed)?;
    let layers = super::info::composed_layers(&expanded) - before;
    let written = arguments.files.write(&expanded)?;
    output::note(&format!("expanded {layers} layers into {written}"));
    Ok(())
}
