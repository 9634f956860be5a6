//! `doconv train --compare`: what DO-Conv gains.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use doconv::formats::write_file;
use doconv::training::data::{DataSet, Source};
use doconv::training::{Checkpoint, Comparison, Kind, Run, Settings, TrainingLoop};
use doconv::{Adapter, Model};
use pollster::block_on;

use super::super::interrupt::Interrupted;
use super::super::model::check_writable;
use super::super::output;
use super::arguments::{Arguments, settings};
use super::initial_model::{InitialModel, of_kind};
use super::inputs::{load, read_checkpoint};
use super::outputs::{self, with, without};
use super::runner::{Runner, listen};

/// The files that a comparison writes.
struct Outputs {
    record: PathBuf,
    table: PathBuf,
    page: PathBuf,
    /// The best of the networks with DO-Conv layers, and the checkpoint of the run that goes on.
    files: outputs::Outputs,
}

impl Outputs {
    fn new(base: &Path) -> Result<Self> {
        let base = without(base, &["json", "md", "html", "safetensors"]);
        let of = |extension: &str| with(&base, extension);
        let files = outputs::Outputs::new(of("safetensors"), None)?;
        let outputs = Self { record: of("json"), table: of("md"), page: of("html"), files };
        for path in [&outputs.record, &outputs.table, &outputs.page] {
            check_writable(path)?;
        }
        // Without a record what lies there is somebody else's.
        if !outputs.record.exists() {
            outputs.check_free(&[&outputs.table, &outputs.page, &outputs.files.model, &outputs.files.folded])?;
        }
        Ok(outputs)
    }

    /// Checks that nothing is in these places.
    fn check_free(&self, paths: &[&PathBuf]) -> Result<()> {
        match paths.iter().find(|path| path.exists()) {
            None => Ok(()),
            Some(path) => bail!(
                "{}: is there already, and not by the record {}; write elsewhere with --out",
                path.display(),
                self.record.display()
            ),
        }
    }

    fn write(&self, comparison: &Comparison) -> Result<()> {
        write_file(&self.record, (serde_json::to_string_pretty(comparison)? + "\n").as_bytes())?;
        write_file(&self.table, comparison.markdown().as_bytes())?;
        Ok(write_file(&self.page, comparison.html()?.as_bytes())?)
    }
}

pub(super) fn main(arguments: &Arguments) -> Result<()> {
    let outputs = Outputs::new(arguments.out.as_deref().unwrap_or(Path::new("compare")))?;
    let adapter = arguments.adapter.open()?;
    let source = Source::find(&arguments.data)?;
    let beginning = InitialModel::find(arguments, &source)?;
    let first = beginning.model(arguments.seed)?;
    let last = arguments.seed.checked_add(arguments.seeds.get() as u64 - 1);
    let last = last.with_context(|| format!("--seed {} has no {} seeds behind it", arguments.seed, arguments.seeds))?;
    let settings = settings(arguments, &first)?;
    settings.check()?;
    for kind in Kind::ALL {
        settings.options.check_frozen(&of_kind(arguments, &first, kind)?).with_context(|| kind.name())?;
    }
    let data = Arc::new(load(arguments, source, first.network())?);
    ensure!(
        !data.validation.labels.is_empty(),
        "there are no images for validation, by which to compare; use --validation N"
    );
    let mut comparison = Comparison {
        network: first.network().name.clone(),
        data: arguments.data.display().to_string(),
        counts: data.counts(),
        checksum: data.checksum(),
        // Of the same seed, wherever the seeds begin.
        first: Comparison::checksum_of(&beginning.model(0)?)?,
        d_mul: arguments.d_mul.map(NonZeroUsize::get),
        adapter: adapter.info().name.clone(),
        settings: settings.within(&data),
        runs: vec![],
        kept: None,
    };
    (comparison.runs, comparison.kept) = earlier(&outputs, &comparison)?;
    // Before the first run: from here on a checkpoint beside it is of this comparison.
    outputs.write(&comparison)?;
    let interrupt = listen()?;
    let interval = Duration::from_secs(arguments.checkpoint_every);
    let runner = Runner { checkpoint: &outputs.files.checkpoint, log: None, interval, interrupt: &interrupt };
    for seed in arguments.seed..=last {
        for kind in Kind::ALL.into_iter().filter(|&kind| !comparison.has(kind, seed)).collect::<Vec<_>>() {
            let title = format!("{}, seed {seed}: ", kind.name());
            let settings = Settings { seed, ..comparison.settings.clone() };
            let model = of_kind(arguments, &beginning.model(seed)?, kind)?;
            let mut training = start_or_resume(&outputs, &adapter, &model, &comparison, data.clone(), settings)?;
            runner.run_to_end(&title, &mut training).map_err(|error| match error.is::<Interrupted>() {
                true => interrupt.ended(format!("{title}interrupted; the same command goes on from here")).into(),
                false => error,
            })?;
            let run = Run { kind, seed, epochs: training.history().to_vec() };
            if comparison.improves(&run) {
                // First of all the record, so that whenever this ends, the files are known to be its own.
                comparison.kept = Some(seed);
                outputs.write(&comparison)?;
                outputs.files.write(&mut training)?;
            }
            comparison.runs.push(run);
            outputs.write(&comparison)?;
            // It was that of the run that has just ended.
            let checkpoint = &outputs.files.checkpoint;
            std::fs::remove_file(checkpoint).with_context(|| checkpoint.display().to_string())?;
        }
    }
    outputs.write(&comparison)?;
    output::note(&format!(
        "wrote {}, {} and {}",
        outputs.table.display(),
        outputs.record.display(),
        outputs.page.display()
    ));
    // Somebody may have taken it away.
    if comparison.kept.is_some() && outputs.files.model.exists() && outputs.files.folded.exists() {
        output::note(&format!("the best network with DO-Conv layers is {}", outputs.files.written()));
    }
    if arguments.json {
        return output::print_json(&comparison);
    }
    output::print(&comparison.markdown())
}

/// The runs of a record that is there, if they count here, and the seed of that whose network was kept.
fn earlier(outputs: &Outputs, comparison: &Comparison) -> Result<(Vec<Run>, Option<u64>)> {
    let path = &outputs.record;
    if !path.exists() {
        // Otherwise it would be taken for one of this comparison, or written over.
        ensure!(
            !outputs.files.checkpoint.exists(),
            "{}: is of another run; remove it, or write elsewhere with --out",
            outputs.files.checkpoint.display()
        );
        return Ok((vec![], None));
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let record: Comparison =
        serde_json::from_str(&text).with_context(|| format!("{}: is no record of a comparison", path.display()))?;
    if record.kept.is_none() {
        outputs.check_free(&[&outputs.files.model, &outputs.files.folded])?;
    }
    if record.runs.is_empty() && !outputs.files.checkpoint.exists() {
        // It did not come to anything.
        return Ok((vec![], record.kept));
    }
    ensure!(
        record.is_like(comparison),
        "{}: is a comparison of another network, other weights, data or settings, or on another adapter; write to another \
         file with --out",
        path.display()
    );
    if !record.runs.is_empty() {
        output::note(&format!("{}: {} runs are there already", path.display(), record.runs.len()));
    }
    Ok((record.runs, record.kept))
}

/// A run from its beginning, or from where it was interrupted.
fn start_or_resume(
    outputs: &Outputs,
    adapter: &Adapter,
    model: &Model,
    comparison: &Comparison,
    data: Arc<DataSet>,
    settings: Settings,
) -> Result<TrainingLoop> {
    let of_this_run = |checkpoint: &Checkpoint| {
        *checkpoint.settings() == settings
            && checkpoint.network() == model.network()
            && checkpoint.data_checksum() == data.checksum()
            // Not by the names of weights: training puts the constant part of D, which the authors' files have, into D.
            && checkpoint.model().is_ok_and(|other| other.is_composed() == model.is_composed())
    };
    let path = &outputs.files.checkpoint;
    if path.exists() {
        let checkpoint = read_checkpoint(path)?;
        if of_this_run(&checkpoint) {
            return Ok(block_on(TrainingLoop::resume(adapter, &checkpoint, data))?);
        }
        // What is left of a run that has ended may go.
        let is_composed = checkpoint.model().is_ok_and(|model| model.is_composed());
        let (kind, seed) = (if is_composed { Kind::DoConv } else { Kind::Plain }, checkpoint.settings().seed);
        ensure!(
            comparison.has(kind, seed) && comparison.settings.options == checkpoint.settings().options,
            "{}: holds another run that has not ended ({}, seed {seed}); end it with its own command, remove it, or write \
             elsewhere with --out",
            path.display(),
            kind.name()
        );
    }
    Ok(block_on(TrainingLoop::new(adapter, model, data, settings))?)
}
