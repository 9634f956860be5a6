//! `doconv train`: a network from a data set.

mod arguments;
mod compare;
mod initial_model;
mod inputs;
mod outputs;
mod runner;

pub use arguments::Arguments;

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use doconv::Adapter;
use doconv::training::data::Source;
use doconv::training::{Epoch, Kind, TrainingLoop};
use pollster::block_on;
use serde::Serialize;

use self::arguments::settings;
use self::initial_model::{InitialModel, of_kind};
use self::inputs::{load, read_checkpoint};
use self::outputs::{Outputs, check_unfinished, resolved, usual_output};
use self::runner::{Runner, listen};
use super::output;

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    epochs: u64,
    train_loss: f64,
    train_accuracy: f64,
    validation_loss: Option<f64>,
    validation_accuracy: Option<f64>,
    images_per_s: f64,
    out: &'a Path,
    folded: &'a Path,
    history: &'a [Epoch],
}

pub fn main(arguments: Arguments) -> Result<()> {
    if arguments.compare {
        return compare::main(&arguments);
    }
    let checkpoint = arguments.resume.as_deref().map(read_checkpoint).transpose()?;
    let outputs = arguments.out.clone().unwrap_or_else(|| usual_output(&arguments));
    let outputs = Outputs::new(outputs, arguments.log.clone())?;
    let goes_on = arguments.resume.as_deref().is_some_and(|path| resolved(path) == resolved(&outputs.checkpoint));
    if !goes_on {
        check_unfinished(&outputs.checkpoint)?;
    }
    let adapter = arguments.adapter.open()?;
    let mut training = match checkpoint {
        Some(checkpoint) => {
            let data = Arc::new(load(&arguments, Source::find(&arguments.data)?, checkpoint.network())?);
            let epochs = arguments.epochs.map_or(checkpoint.settings().epochs, NonZeroU64::get);
            if checkpoint.epochs() >= epochs {
                let done = checkpoint.epochs();
                output::note(&format!("note: {done} epochs are done already, so none is left; --epochs says how many"));
            }
            block_on(TrainingLoop::resume(&adapter, &checkpoint.with_epochs(epochs), data))?
        }
        None => begin(&arguments, &adapter)?,
    };
    output::note(&format!(
        "training {} parameters in batches of {} on {}",
        training.trainer().parameter_count(),
        training.trainer().batch(),
        adapter.info().name
    ));
    let interrupt = listen()?;
    let interval = Duration::from_secs(arguments.checkpoint_every);
    let runner =
        Runner { checkpoint: &outputs.checkpoint, log: outputs.log.as_deref(), interval, interrupt: &interrupt };
    runner.run_to_end("", &mut training)?;
    finish(&arguments, &outputs, &mut training)
}

/// A training run from its first epoch.
fn begin(arguments: &Arguments, adapter: &Adapter) -> Result<TrainingLoop> {
    let source = Source::find(&arguments.data)?;
    let model = InitialModel::find(arguments, &source)?.model(arguments.seed)?;
    let model = of_kind(arguments, &model, if arguments.plain { Kind::Plain } else { Kind::DoConv })?;
    let settings = settings(arguments, &model)?;
    settings.check()?;
    settings.options.check_frozen(&model)?;
    let data = Arc::new(load(arguments, source, model.network())?);
    Ok(block_on(TrainingLoop::new(adapter, &model, data, settings))?)
}

fn finish(arguments: &Arguments, outputs: &Outputs, training: &mut TrainingLoop) -> Result<()> {
    outputs.write(training)?;
    output::note(&format!("wrote {}", outputs.written()));
    let Some(last) = training.history().last() else {
        ensure!(!arguments.json, "no epoch was trained");
        return Ok(());
    };
    if arguments.json {
        let document = Document {
            epochs: last.epoch,
            train_loss: last.train_loss,
            train_accuracy: last.train_accuracy,
            validation_loss: last.validation_loss,
            validation_accuracy: last.validation_accuracy,
            images_per_s: last.images_per_s,
            out: &outputs.model,
            folded: &outputs.folded,
            history: training.history(),
        };
        return output::print_json(&document);
    }
    if let Some(accuracy) = last.validation_accuracy {
        output::print(&format!("{:.2} % of the images for validation are right\n", 100.0 * accuracy))?;
    }
    Ok(())
}
