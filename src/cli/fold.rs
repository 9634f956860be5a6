//! `doconv fold`: a DO-Conv network as an ordinary one, for this program or for others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::model::Files;
use super::output;

/// Fold DO-Conv layers and batch norms into ordinary convolutions
///
/// The function stays the same. W and D of every DO-Conv layer become one kernel; a batch norm that follows a
/// convolution is absorbed by it. In a model file the layers stay marked, so that `doconv expand` and the modes `kernel`
/// and `feature` find them again. In an ONNX file they are convolutions like others; its arithmetic is f32 also where
/// its numbers are stored as f16.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv fold trained.safetensors folded.safetensors
  doconv fold trained.safetensors small.safetensors --dtype f16
  doconv fold trained.safetensors network.onnx
  doconv fold checkpoint.pth model.safetensors --arch resnet18 --labels imagenet.json
  doconv fold weights.npz model.safetensors --arch resnet50_v2

With --arch, IN is a file of weights as a framework saves them: what PyTorch's torch.save(model.state_dict(), …) or
safetensors.torch.save_file writes, also inside a checkpoint under `state_dict` or `model`, or the arrays of a TensorFlow
or Gluon network under their names in a NumPy archive. Convolutions may be plain (`weight`) or DO-Conv (`W`, `D`).")]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Class names to put into OUT: a JSON array of strings, one for each class
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

pub fn main(arguments: Arguments) -> Result<()> {
    let labels =
        arguments.labels.as_deref().map(|path| Ok::<_, anyhow::Error>((path, read_labels(path)?))).transpose()?;
    let model = arguments.files.read()?;
    let composed = super::info::composed_layers(&model);
    let mut folded = model.fold()?.fold_batch_norms()?;
    let norms = model.network().nodes.len() - folded.network().nodes.len();
    if let Some((path, labels)) = labels {
        folded = folded.with_labels(labels).with_context(|| path.display().to_string())?;
    }
    let written = arguments.files.write(&folded)?;
    output::note(&format!("folded {composed} DO-Conv layers and {norms} batch norms into {written}"));
    Ok(())
}

fn read_labels(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: no JSON array of names", path.display()))
}
