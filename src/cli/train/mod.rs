//! `doconv train`: a network from a data set.

mod compare;

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use doconv::formats::write_file;
use doconv::network::zoo;
use doconv::training::data::{Augment, DataSet, Shaping, Source};
use doconv::training::{
    Advance, Checkpoint, Course, Decay, Epoch, Kind, Optimiser, Options, Schedule, Settings, adapt_input, head,
    with_classes,
};
use doconv::{Adapter, Dtype, Model};
use pollster::block_on;
use serde::Serialize;

use super::adapter::AdapterArguments;
use super::interrupt::{Interrupt, Interrupted};
use super::model::{Arch, check_writable};
use super::{output, progress};

/// Train a DO-Conv network with your images, and fold it
///
/// DATA is a folder with train/<class>/*.jpg (and test/<class>/*.jpg or val/<class>/*.jpg to see how well it goes), a tar
/// archive of such folders, CIFAR-10's binary files, or MNIST's and Fashion-MNIST's IDX files: which of them, its content
/// says.
///
/// Every convolution larger than 1×1 is trained as W and D. OUT holds them; beside it lies the folded network, which every
/// other command takes, and while training goes on a checkpoint to go on from.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv train --arch resnet20 --data photos/ --out mine.safetensors
  doconv classify new.jpg --model mine.folded.safetensors
  doconv train --arch resnet20 --data photos/ --out plain.safetensors --plain --seed 7
                                       the same network without DO-Conv
  doconv train --init imagenet --freeze backbone --data photos/ --out mine.safetensors --lr 0.01
                                       the bundled ImageNet network with a last layer for your classes
  doconv train --resume mine.checkpoint.safetensors --data photos/ --out mine.safetensors
                                       go on after Ctrl-C or a power cut
  doconv train --compare --arch resnet20 --data photos/ --seeds 5 --out compare
                                       what DO-Conv gains: compare.md, compare.json, compare.html

The same seed on the same adapter gives the same network, also by way of --resume. Without a hardware GPU it is the CPU
that trains; a software adapter only does so by name.")]
pub struct Arguments {
    /// Folder, or tar archive, with the images
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Architecture, with random weights or those of --init (`doconv train --help` lists all)
    #[arg(long, value_name = "NAME", long_help = arch_help(), required_unless_present_any = ["init", "resume"])]
    arch: Option<String>,
    /// Model file to begin with, ONNX file, or a bundled network, `imagenet` or `cifar10`, or with --arch a file of weights
    /// (.pth, .pt, .npz, .safetensors); for other classes its last layer is made anew
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Checkpoint to go on from; everything but --data, --epochs, --out, --log and --adapter is as it was
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "arch", "init", "plain", "d_mul", "batch", "accumulate", "lr", "optimiser", "momentum", "weight_decay", "clip_norm", "decay",
        "schedule", "label_smoothing", "augment", "freeze", "seed",
    ])]
    resume: Option<PathBuf>,
    /// Model file to write [default: the architecture's name or that of the checkpoint to go on from, .safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Train ordinary convolutions, without W and D
    #[arg(long)]
    plain: bool,
    /// Depth multiplier of D, at least a kernel's number of taps [default: that number]
    #[arg(long, value_name = "N", conflicts_with = "plain")]
    d_mul: Option<NonZeroUsize>,
    /// How often every image is seen [default: 10]
    #[arg(long, value_name = "N")]
    epochs: Option<NonZeroU64>,
    /// Images of a step; at most all
    #[arg(long, value_name = "N", default_value = "128")]
    batch: NonZeroUsize,
    /// Run a batch in N equal parts and add up their gradients, when a GPU's memory is too small for all of it; batch norms see
    /// one part at a time
    #[arg(long, value_name = "N", default_value = "1")]
    accumulate: NonZeroUsize,
    /// Learning rate at its highest [default: 0.1, with adamw 0.001]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    lr: Option<f32>,
    /// How parameters follow their gradients
    #[arg(long, value_enum, default_value_t)]
    optimiser: OptimiserName,
    /// Momentum of sgd and nesterov
    #[arg(long, value_name = "X", default_value_t = 0.9, allow_negative_numbers = true)]
    momentum: f32,
    /// Weight decay
    #[arg(long, value_name = "X", default_value_t = 5e-4, allow_negative_numbers = true)]
    weight_decay: f32,
    /// Scale gradients down where the norm of all of them together is larger
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    clip_norm: Option<f32>,
    /// Which parameters decay
    #[arg(long, value_enum, default_value_t)]
    decay: DecayName,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value_t)]
    schedule: ScheduleName,
    /// How much of the probability of an image's class is shared among all
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f32,
    /// How images are varied
    #[arg(long, value_enum, default_value_t)]
    augment: AugmentName,
    /// Parameters that stay as they are, such as 'layer1.*', or `backbone` for all but the last layer; may be repeated
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<String>,
    /// Train the plain network and DO-Conv side by side, with several seeds, and write a table, a record and a page: OUT with
    /// .md, .json and .html; runs that the record has already are not made again
    #[arg(long, conflicts_with_all = ["plain", "resume", "log"])]
    compare: bool,
    /// How many seeds to compare with, from --seed on
    #[arg(long, value_name = "N", default_value = "3", requires = "compare")]
    seeds: NonZeroUsize,
    /// Hold back the last N images for validation, rather than using test images or a tenth
    #[arg(long, value_name = "N")]
    validation: Option<NonZeroUsize>,
    /// Makes weights, order and variation of the images reproducible
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Append a line of JSON for every epoch to a file, if it is not there yet
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write a checkpoint whenever so many seconds have passed, besides at the end of every epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    checkpoint_every: u64,
    #[command(flatten)]
    adapter: AdapterArguments,
    /// Print one JSON document when all is done
    #[arg(long)]
    json: bool,
}

fn arch_help() -> String {
    format!("Architecture, with random weights\n\nArchitectures: {}", zoo::NAMES.join(", "))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OptimiserName {
    /// Stochastic gradient descent with momentum
    Sgd,
    /// The same with Nesterov's momentum
    #[default]
    Nesterov,
    /// Adam with decoupled weight decay
    Adamw,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DecayName {
    /// All of them, W and D each by itself, as in the DO-Conv authors' code
    #[default]
    All,
    /// Kernels only, not biases and batch norms
    Kernels,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ScheduleName {
    /// It does not
    Constant,
    /// Up over the first twentieth, then down to 0 along half a cosine
    #[default]
    Cosine,
    /// A tenth from the middle on, a hundredth for the last quarter
    Step,
    /// Up over the first 30 %, then down, along cosines
    Onecycle,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum AugmentName {
    /// Moved by up to an eighth of their size, and those in colour mirrored
    #[default]
    Standard,
    /// They are not
    None,
}

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

/// The files that training writes.
struct Outputs {
    model: PathBuf,
    folded: PathBuf,
    checkpoint: PathBuf,
    log: Option<PathBuf>,
}

impl Outputs {
    fn new(model: PathBuf, log: Option<PathBuf>) -> Result<Self> {
        if model.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            bail!(
                "{}: training writes safetensors; make ONNX of what comes of it: doconv fold mine.folded.safetensors {}",
                model.display(),
                model.display()
            );
        }
        let stem = without(&model, &["safetensors"]);
        let beside = |part: &str| with(&stem, &format!("{part}.safetensors"));
        let outputs = Self { folded: beside("folded"), checkpoint: beside("checkpoint"), model, log };
        for path in outputs.models() {
            check_writable(path)?;
        }
        if let Some(log) = &outputs.log {
            let is_log = |path: &&PathBuf| resolved(path) == resolved(log);
            ensure!(
                !outputs.models().iter().any(is_log),
                "{}: the log would be overwritten by what is trained; name another file",
                log.display()
            );
            check_appendable(log)?;
        }
        Ok(outputs)
    }

    fn models(&self) -> [&PathBuf; 3] {
        [&self.model, &self.folded, &self.checkpoint]
    }
}

/// Without one of these extensions: others may be a part of the name, such as that of `lr0.1`.
fn without(path: &Path, extensions: &[&str]) -> PathBuf {
    let known = |own: &std::ffi::OsStr| extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension));
    if path.extension().is_some_and(known) { path.with_extension("") } else { path.into() }
}

/// With one extension more.
fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Where a file is, or would be, in one spelling.
fn resolved(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().ok().or_else(|| Some(folder.canonicalize().ok()?.join(path.file_name()?)))
}

/// Fails early where lines cannot be added to a file. One that is not there is not made.
fn check_appendable(path: &Path) -> Result<()> {
    if !path.exists() || path.is_dir() {
        return check_writable(path);
    }
    // A pipe may wait for a reader.
    if !path.is_file() {
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().append(true).open(path);
    file.map(drop).with_context(|| path.display().to_string())
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
    let mut course = match checkpoint {
        Some(checkpoint) => {
            let data = Arc::new(load(&arguments, Source::find(&arguments.data)?, checkpoint.network())?);
            let epochs = arguments.epochs.map_or(checkpoint.settings().epochs, NonZeroU64::get);
            if checkpoint.epochs() >= epochs {
                let done = checkpoint.epochs();
                output::note(&format!("note: {done} epochs are done already, so none is left; --epochs says how many"));
            }
            block_on(Course::resume(&adapter, &checkpoint.with_epochs(epochs), data))?
        }
        None => begin(&arguments, &adapter)?,
    };
    output::note(&format!(
        "training {} parameters in batches of {} on {}",
        course.trainer().parameter_count(),
        course.trainer().batch(),
        adapter.info().name
    ));
    let interrupt = listen()?;
    let interval = Duration::from_secs(arguments.checkpoint_every);
    let watch = Watch { checkpoint: &outputs.checkpoint, log: outputs.log.as_deref(), interval, interrupt: &interrupt };
    watch.follow("", &mut course)?;
    finish(&arguments, &outputs, &mut course)
}

/// The file to write where none is named: called as the architecture, or as what was interrupted.
fn usual_output(arguments: &Arguments) -> PathBuf {
    let resumed = arguments.resume.as_deref().and_then(|path| {
        let stem = path.to_str()?.strip_suffix(".checkpoint.safetensors")?;
        Some(stem.to_owned())
    });
    let name = resumed.or_else(|| arguments.arch.clone());
    PathBuf::from(name.unwrap_or_else(|| "trained".into()) + ".safetensors")
}

/// Fails where a run would take the place of one that can be gone on with.
fn check_unfinished(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let way_out = "remove it, or write elsewhere with --out";
    let checkpoint = read_checkpoint(path).with_context(|| format!("this checkpoint is in the way; {way_out}"))?;
    let (done, epochs, path) = (checkpoint.epochs(), checkpoint.settings().epochs, path.display());
    ensure!(
        done >= epochs,
        "{path}: holds a run that has not ended, {done} of {epochs} epochs are done; go on with --resume {path}, {way_out}"
    );
    Ok(())
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Checkpoint::from_bytes(&path.display().to_string(), &bytes)?)
}

/// A course from the beginning.
fn begin(arguments: &Arguments, adapter: &Adapter) -> Result<Course> {
    let source = Source::find(&arguments.data)?;
    let model = Beginning::find(arguments, &source)?.model(arguments.seed)?;
    let model = of_kind(arguments, &model, if arguments.plain { Kind::Plain } else { Kind::DoConv })?;
    let settings = settings(arguments, &model)?;
    settings.check()?;
    settings.options.check_frozen(&model)?;
    let data = Arc::new(load(arguments, source, model.network())?);
    Ok(block_on(Course::new(adapter, &model, data, settings))?)
}

/// The same function with W and D, or without.
fn of_kind(arguments: &Arguments, model: &Model, kind: Kind) -> Result<Model> {
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

/// What training begins with.
enum Beginning {
    /// These weights, but for the last layer where the classes are others.
    Weights(Box<Model>, Vec<String>),
    /// Random ones.
    Random(doconv::Network),
}

impl Beginning {
    fn find(arguments: &Arguments, source: &Source) -> Result<Self> {
        let classes = source.classes();
        match (&arguments.init, &arguments.arch) {
            (Some(path), arch) => {
                let opened = Arch::named(arch.clone()).open(path).map_err(|error| match read_checkpoint(path) {
                    Ok(_) => anyhow!("{}: is a checkpoint of training; go on from it with --resume", path.display()),
                    Err(_) => error,
                });
                Ok(Self::Weights(Box::new(opened?), classes.to_vec()))
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
    fn model(&self, seed: u64) -> Result<Model> {
        let model = match self {
            Self::Weights(model, classes) => model.for_classes(classes, seed)?,
            Self::Random(network) => Model::initialised(network.clone(), seed)?,
        };
        // Whoever classifies with it later has to know how images were shaped.
        let shaping = shaping(model.network())?;
        Ok(match model.network().preprocess {
            // Of a photograph it is a square.
            None if shaping.size[0] == shaping.size[1] => model.with_preprocess(Some(shaping.preprocess))?,
            _ => model,
        })
    }
}

fn settings(arguments: &Arguments, model: &Model) -> Result<Settings> {
    let weight_decay = arguments.weight_decay;
    let sgd = |nesterov| Optimiser::Sgd { momentum: arguments.momentum, nesterov, weight_decay };
    let (optimiser, usual_rate) = match arguments.optimiser {
        OptimiserName::Sgd => (sgd(false), 0.1),
        OptimiserName::Nesterov => (sgd(true), 0.1),
        OptimiserName::Adamw => (Optimiser::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay }, 1e-3),
    };
    let decay = match arguments.decay {
        DecayName::All => Decay::All,
        DecayName::Kernels => Decay::Kernels,
    };
    Ok(Settings {
        epochs: arguments.epochs.map_or(Settings::default().epochs, NonZeroU64::get),
        rate: arguments.lr.unwrap_or(usual_rate),
        schedule: match arguments.schedule {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Cosine => Schedule::Cosine,
            ScheduleName::Step => Schedule::Step,
            ScheduleName::Onecycle => Schedule::OneCycle,
        },
        smoothing: arguments.label_smoothing,
        augment: match arguments.augment {
            AugmentName::Standard => Augment::Standard,
            AugmentName::None => Augment::None,
        },
        seed: arguments.seed,
        options: Options {
            batch: arguments.batch.get(),
            parts: arguments.accumulate.get(),
            optimiser,
            decay,
            clip_norm: arguments.clip_norm,
            frozen: frozen(&arguments.freeze, model)?,
        },
    })
}

/// What is frozen: `backbone` stands for all layers but the last, with W and D or without.
fn frozen(patterns: &[String], model: &Model) -> Result<Vec<String>> {
    let mut frozen = vec![];
    for pattern in patterns {
        if pattern != "backbone" {
            frozen.push(pattern.clone());
            continue;
        }
        let head = head(model.network())?;
        let layers = model.weights().keys().filter_map(|name| Some(name.rsplit_once('.')?.0));
        let layers: BTreeSet<&str> = layers.filter(|&layer| layer != head).collect();
        frozen.extend(layers.into_iter().map(|layer| format!("{layer}.*")));
    }
    Ok(frozen)
}

fn shaping(network: &doconv::Network) -> Result<Shaping> {
    let input = network.inputs.first().context("the network has no input")?;
    Ok(Shaping::new(input.shape, network.preprocess.as_ref())?)
}

/// Decodes the data at the size that the network wants.
fn load(arguments: &Arguments, source: Source, network: &doconv::Network) -> Result<DataSet> {
    let shaping = shaping(network)?;
    let (kind, count) = (source.kind(), source.count());
    let bar = progress::decoding(count);
    let data = source.load(&shaping, arguments.validation.map(NonZeroUsize::get), || bar.inc(1))?;
    bar.finish_and_clear();
    for note in &data.notes {
        output::note(&format!("note: {note}"));
    }
    let [channels, height, width] = data.shape;
    output::note(&format!(
        "{}: {kind}, {} classes, {} images to learn from, {} for validation, {channels}×{height}×{width}",
        arguments.data.display(),
        data.classes.len(),
        data.train.labels.len(),
        data.validation.labels.len()
    ));
    Ok(data)
}

/// Where a course leaves what it has, and whether somebody wants it to end.
struct Watch<'a> {
    checkpoint: &'a Path,
    log: Option<&'a Path>,
    /// Between two checkpoints within an epoch.
    interval: Duration,
    interrupt: &'a Interrupt,
}

fn listen() -> Result<Interrupt> {
    Interrupt::listen(|| output::note("writing a checkpoint; Ctrl-C again ends at once"))
}

impl Watch<'_> {
    /// All epochs that are left; `title` says which course it is.
    fn follow(&self, title: &str, course: &mut Course) -> Result<()> {
        /// How often the bar is drawn, and Ctrl-C looked for.
        const TICK: Duration = Duration::from_millis(300);
        let epochs = course.settings().epochs;
        let mut saved = Instant::now();
        let mut bar = None;
        self.log(course.history())?;
        loop {
            let (done, _, steps) = course.place();
            let shown = bar.get_or_insert_with(|| progress::training(title, steps, done + 1, epochs));
            match block_on(course.advance(TICK))? {
                Advance::Done => {
                    shown.finish_and_clear();
                    return Ok(());
                }
                Advance::Steps => {
                    shown.set_position(course.place().1 as u64);
                    let totals = course.totals();
                    shown.set_message(format!(
                        "loss {:.3}, {:.1} % right, {:.0} images/s",
                        totals.mean_loss(),
                        100.0 * totals.accuracy(),
                        course.images_per_s()
                    ));
                }
                Advance::Epoch(epoch) => {
                    shown.finish_and_clear();
                    bar = None;
                    output::note(&format!("{title}{}", describe(&epoch, epochs)));
                    // The checkpoint comes first: what the log lacks can be added when the run is gone on with.
                    saved = self.save(course)?;
                    self.log(course.history())?;
                }
            }
            if saved.elapsed() >= self.interval {
                saved = self.save(course)?;
            }
            if self.interrupt.came() && course.place().0 < epochs {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                self.save(course)?;
                return Err(Interrupted(self.interrupted(title, course)).into());
            }
        }
    }

    fn interrupted(&self, title: &str, course: &Course) -> String {
        let ((done, step, steps), epochs) = (course.place(), course.settings().epochs);
        let (epoch, checkpoint) = (done + 1, self.checkpoint.display());
        format!(
            "{title}interrupted in epoch {epoch} of {epochs}, after {step} of {steps} steps; go on with --resume {checkpoint}"
        )
    }

    /// Appends the epochs that the log does not have yet.
    fn log(&self, history: &[Epoch]) -> Result<()> {
        let (Some(path), Some(last)) = (self.log, history.last()) else { return Ok(()) };
        let context = || path.display().to_string();
        let mut text = String::new();
        if path.exists() && !path.is_file() {
            // What goes down a pipe cannot be looked at again.
            text = serde_json::to_string(last)? + "\n";
        } else {
            let there = if path.exists() { std::fs::read(path).with_context(context)? } else { vec![] };
            let there = String::from_utf8_lossy(&there);
            // A line that was cut off stays, by itself.
            if !there.is_empty() && !there.ends_with('\n') {
                text.push('\n');
            }
            let there: HashSet<&str> = there.lines().collect();
            for epoch in history {
                let line = serde_json::to_string(epoch)?;
                if !there.contains(line.as_str()) {
                    text += &(line + "\n");
                }
            }
        }
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(context)
    }

    /// Writes a checkpoint in the place of the last one, which stays where that fails.
    fn save(&self, course: &mut Course) -> Result<Instant> {
        write_file(self.checkpoint, &block_on(course.checkpoint())?)?;
        Ok(Instant::now())
    }
}

fn describe(epoch: &Epoch, epochs: u64) -> String {
    let validation = match (epoch.validation_loss, epoch.validation_accuracy) {
        (Some(loss), Some(accuracy)) => format!(", validation loss {loss:.4}, {:.2} % right", 100.0 * accuracy),
        _ => String::new(),
    };
    format!(
        "epoch {}/{epochs}: loss {:.4}, {:.2} % right{validation}, {:.0} images/s",
        epoch.epoch,
        epoch.train_loss,
        100.0 * epoch.train_accuracy,
        epoch.images_per_s
    )
}

fn finish(arguments: &Arguments, outputs: &Outputs, course: &mut Course) -> Result<()> {
    let model = block_on(course.model())?;
    write_file(&outputs.model, &model.to_bytes(Dtype::F32)?)?;
    write_file(&outputs.folded, &model.fold_batch_norms()?.fold()?.to_bytes(Dtype::F32)?)?;
    output::note(&format!("wrote {} and, folded, {}", outputs.model.display(), outputs.folded.display()));
    let Some(last) = course.history().last() else {
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
            history: course.history(),
        };
        return output::print_json(&document);
    }
    if let Some(accuracy) = last.validation_accuracy {
        output::print(&format!("{:.2} % of the images for validation are right\n", 100.0 * accuracy))?;
    }
    Ok(())
}
