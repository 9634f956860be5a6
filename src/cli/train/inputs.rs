//! What a training run reads: its data set and its checkpoint.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result};
use doconv::Network;
use doconv::training::Checkpoint;
use doconv::training::data::{DataSet, Shaping, Source};

use super::super::{output, progress};
use super::arguments::Arguments;

pub(super) fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Checkpoint::from_bytes(&path.display().to_string(), &bytes)?)
}

/// Decodes the data at the size that the network wants.
pub(super) fn load(arguments: &Arguments, source: Source, network: &Network) -> Result<DataSet> {
    let shaping = shaping(network)?;
    let (kind, count) = (source.kind(), source.images().iter().sum());
    let bar = progress::decoding(count);
    let data = source.load(&shaping, arguments.validation.map(NonZeroUsize::get), || bar.inc(1))?;
    bar.finish_and_clear();
    for note in &data.notes {
        output::note(&format!("note: {note}"));
    }
    let [channels, height, width] = data.shape;
    output::note(&format!(
        "{}: {kind}, {} classes, {} images to learn from, {} for validation, {channels}×{height}×{width}; classes {}",
        arguments.data.display(),
        data.classes.len(),
        data.train.labels.len(),
        data.validation.labels.len(),
        listed(&data.classes)
    ));
    Ok(data)
}

/// The first few names.
fn listed(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(5).map(|name| output::printable(name)).collect();
    shown.join(", ") + if names.len() > shown.len() { ", …" } else { "" }
}

/// How the images of a data set are resized and normalised for a network.
pub(super) fn shaping(network: &Network) -> Result<Shaping> {
    let input = network.inputs.first().context("the network has no input")?;
    Ok(Shaping::new(input.shape, network.preprocess.as_ref())?)
}
