//! `doconv train --compare`: what DO-Conv gains.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use doconv::formats::write_file;
use doconv::training::data::{DataSet, Source};
use doconv::training::{Checkpoint, Comparison, Course, Kind, Run, Settings};
use doconv::{Adapter, Model};
use pollster::block_on;

use super::super::interrupt::Interrupted;
use super::super::model::check_writable;
use super::super::output;
use super::{Arguments, Watch, composed, first_model, listen, load, read_checkpoint, settings};

/// The files that a comparison writes.
struct Outputs {
    record: PathBuf,
    table: PathBuf,
    page: PathBuf,
    checkpoint: PathBuf,
}

impl Outputs {
    fn new(base: &Path) -> Result<Self> {
        let of = |extension: &str| base.with_extension(extension);
        let (record, table, page) = (of("json"), of("md"), of("html"));
        let outputs = Self { record, table, page, checkpoint: of("checkpoint.safetensors") };
        for path in [&outputs.record, &outputs.table, &outputs.page, &outputs.checkpoint] {
            check_writable(path)?;
        }
        Ok(outputs)
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
    // Every seed has a first model of its own; what they have in common says how images are shaped.
    let seeds: Vec<u64> = (0..arguments.seeds.get() as u64).map(|index| arguments.seed + index).collect();
    let models = seeds.iter().map(|&seed| first_model(arguments, &source, seed)).collect::<Result<Vec<_>>>()?;
    let data = Arc::new(load(arguments, source, models[0].network())?);
    ensure!(
        !data.validation.labels.is_empty(),
        "there are no images for validation, by which to compare; use --validation N"
    );
    let mut comparison = Comparison {
        network: models[0].network().name.clone(),
        data: arguments.data.display().to_string(),
        counts: [data.train.labels.len(), data.validation.labels.len(), data.classes.len()],
        adapter: adapter.info().name.clone(),
        settings: settings(arguments, &models[0])?.within(&data),
        runs: vec![],
    };
    comparison.runs = earlier(&outputs, &comparison)?;
    let interrupt = listen()?;
    let interval = Duration::from_secs(arguments.checkpoint_every);
    let watch = Watch { checkpoint: &outputs.checkpoint, log: None, interval, interrupt: &interrupt };
    for (&seed, model) in seeds.iter().zip(&models) {
        for kind in Kind::ALL.into_iter().filter(|&kind| !comparison.has(kind, seed)).collect::<Vec<_>>() {
            let title = format!("{}, seed {seed}: ", kind.name());
            let settings = Settings { seed, ..comparison.settings.clone() };
            let mut course = course(arguments, &outputs, &adapter, (model, kind), data.clone(), settings)?;
            watch.follow(&title, &mut course).map_err(|error| match error.is::<Interrupted>() {
                true => Interrupted(format!("{title}interrupted; the same command goes on from here")).into(),
                false => error,
            })?;
            comparison.runs.push(Run { kind, seed, epochs: course.history().to_vec() });
            outputs.write(&comparison)?;
            // It was that of the run that has just ended.
            std::fs::remove_file(&outputs.checkpoint).with_context(|| outputs.checkpoint.display().to_string())?;
        }
    }
    outputs.write(&comparison)?;
    output::note(&format!(
        "wrote {}, {} and {}",
        outputs.table.display(),
        outputs.record.display(),
        outputs.page.display()
    ));
    if arguments.json {
        return output::print_json(&comparison);
    }
    output::print(&comparison.markdown())
}

/// The runs of a record that is there, if they count here.
fn earlier(outputs: &Outputs, comparison: &Comparison) -> Result<Vec<Run>> {
    let path = &outputs.record;
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(vec![]) };
    let record: Comparison =
        serde_json::from_str(&text).with_context(|| format!("{}: is no record of a comparison", path.display()))?;
    ensure!(
        record.is_like(comparison),
        "{}: is a comparison of another network, other data, settings or another adapter; write to another file with --out",
        path.display()
    );
    output::note(&format!("{}: {} runs are there already", path.display(), record.runs.len()));
    Ok(record.runs)
}

/// A run from its beginning, or from where it was interrupted.
fn course(
    arguments: &Arguments,
    outputs: &Outputs,
    adapter: &Adapter,
    (model, kind): (&Model, Kind),
    data: Arc<DataSet>,
    settings: Settings,
) -> Result<Course> {
    let of_this_run = |checkpoint: &Checkpoint| {
        let is_composed = checkpoint.model().is_ok_and(|model| model.is_composed());
        *checkpoint.settings() == settings && is_composed == (kind == Kind::DoConv)
    };
    if outputs.checkpoint.exists()
        && let Some(checkpoint) = Some(read_checkpoint(&outputs.checkpoint)?).filter(of_this_run)
    {
        return Ok(block_on(Course::resume(adapter, &checkpoint, data))?);
    }
    let model = match kind {
        Kind::Plain => model.fold()?,
        Kind::DoConv => composed(arguments, model)?,
    };
    Ok(block_on(Course::new(adapter, &model, data, settings))?)
}
