//! The initial model of a training run.

use std::num::NonZeroUsize;

use anyhow::{Result, anyhow, bail};
use doconv::network::zoo;
use doconv::training::data::Source;
use doconv::training::{Kind, adapt_input, head, with_classes};
use doconv::{Model, Network};

use super::super::model::Arch;
use super::super::output;
use super::arguments::Arguments;
use super::inputs::{read_checkpoint, shaping};

/// The same function with W and D, or without.
pub(super) fn of_kind(arguments: &Arguments, model: &Model, kind: Kind) -> Result<Model> {
    if kind == Kind::Plain {
        return Ok(model.fold()?);
    }
    let d_mul = arguments.d_mul.map(NonZeroUsize::get);
    let composed = model.expand(d_mul, 0.0, arguments.seed)?;
    if let Some(d_mul) = d_mul.filter(|_| composed.weights().keys().eq(model.weights().keys())) {
        bail!("--d-mul {d_mul} is for layers without W and D, and {} has none to expand", model.network().name);
    }
    Ok(composed)
}

/// The initial model.
pub(super) enum InitialModel {
    /// These weights, but for the last layer where the classes are others.
    Weights(Box<Model>, Vec<String>),
    /// Random ones.
    Random(Network),
}

impl InitialModel {
    pub(super) fn find(arguments: &Arguments, source: &Source) -> Result<Self> {
        let classes = source.classes();
        match (&arguments.init, &arguments.arch) {
            (Some(path), arch) => {
                let opened = Arch::named(arch.clone()).open(path).map_err(|error| match read_checkpoint(path) {
                    Ok(_) => anyhow!("{}: is a checkpoint of training; go on from it with --resume", path.display()),
                    Err(_) => error,
                });
                let model = opened?;
                if !model.has_classes(classes)? {
                    let (head, count) = (head(model.network())?, classes.len());
                    output::note(&format!(
                        "note: the last layer, `{head}`, begins anew for the {count} classes of the data"
                    ));
                }
                Ok(Self::Weights(Box::new(model), classes.to_vec()))
            }
            (None, Some(arch)) => {
                let network = zoo::build(arch)?;
                let network = source.size().map(|size| adapt_input(network.clone(), size)).unwrap_or(network);
                Ok(Self::Random(with_classes(network, classes)?))
            }
            (None, None) => bail!("name an architecture with --arch, or a model with --init"),
        }
    }

    /// For the classes of the data; a seed gives the same model every time.
    pub(super) fn model(&self, seed: u64) -> Result<Model> {
        let model = match self {
            Self::Weights(model, classes) => model.for_classes(classes, seed)?,
            Self::Random(network) => Model::initialised(network.clone(), seed)?,
        };
        // Whoever classifies with it later has to know how images were shaped.
        let shaping = shaping(model.network())?;
        Ok(match model.network().preprocess {
            // Preprocessing gives squares.
            None if shaping.size[0] == shaping.size[1] => model.with_preprocess(Some(shaping.preprocess))?,
            _ => model,
        })
    }
}
