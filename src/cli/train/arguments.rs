//! What the user says, and the settings that follow.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use doconv::Model;
use doconv::network::zoo;
use doconv::training::data::Augment;
use doconv::training::{Decay, Optimiser, Options, Schedule, Settings, head};

use super::super::adapter::AdapterArguments;

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
                                       go on after Ctrl-C, SIGTERM or a power cut
  doconv train --compare --arch resnet20 --data photos/ --seeds 5 --out compare
                                       what DO-Conv gains: compare.md, .json, .html, and the best network

The same seed on the same adapter gives the same network, also by way of --resume. Without a hardware GPU it is the CPU
that trains; a software adapter only does so by name.")]
pub struct Arguments {
    /// Folder, or tar archive, with the images
    #[arg(long, value_name = "DATA")]
    pub(super) data: PathBuf,
    /// Architecture, with random weights or those of --init (`doconv train --help` lists all)
    #[arg(long, value_name = "NAME", long_help = arch_help(), required_unless_present_any = ["init", "resume"])]
    pub(super) arch: Option<String>,
    /// Model file to begin with, ONNX file, or a bundled network, `imagenet` or `cifar10`, or with --arch a file of weights
    /// (.pth, .pt, .npz, .safetensors); for other classes its last layer is made anew
    #[arg(long, value_name = "FILE")]
    pub(super) init: Option<PathBuf>,
    /// Checkpoint to go on from; everything but --data, --validation, --epochs, --out, --log and --adapter
    /// is as it was
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "arch", "init", "plain", "d_mul", "batch", "accumulate", "lr", "optimiser", "momentum", "weight_decay", "clip_norm", "decay",
        "schedule", "label_smoothing", "augment", "freeze", "seed",
    ])]
    pub(super) resume: Option<PathBuf>,
    /// Model file to write [default: the architecture's name or that of the checkpoint to go on from, .safetensors]; with
    /// --compare what all its files are called, without an extension [default: compare]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Train ordinary convolutions, without W and D
    #[arg(long)]
    pub(super) plain: bool,
    /// Depth multiplier of D, at least a kernel's number of taps [default: that number]
    #[arg(long, value_name = "N", conflicts_with = "plain")]
    pub(super) d_mul: Option<NonZeroUsize>,
    /// How often every image is seen [default: 10]
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<NonZeroU64>,
    /// Most images of a step; all steps of an epoch have equally many
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
    /// Momentum of sgd and nesterov [default: 0.9]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    momentum: Option<f32>,
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
    /// .md, .json and .html, and the best DO-Conv network, with .safetensors and .folded.safetensors; runs that the record has already are not made again
    #[arg(long, conflicts_with_all = ["plain", "resume", "log"])]
    pub(super) compare: bool,
    /// How many seeds to compare with, from --seed on
    #[arg(long, value_name = "N", default_value = "3", requires = "compare")]
    pub(super) seeds: NonZeroUsize,
    /// Hold back the last N images for validation, rather than using test images or a tenth
    #[arg(long, value_name = "N")]
    pub(super) validation: Option<NonZeroUsize>,
    /// Makes weights, order and variation of the images reproducible
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Append a line of JSON for every epoch to a file, if it is not there yet
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Write a checkpoint whenever so many seconds have passed, besides at the end of every epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) checkpoint_every: u64,
    #[command(flatten)]
    pub(super) adapter: AdapterArguments,
    /// Print one JSON document when all is done
    #[arg(long)]
    pub(super) json: bool,
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

pub(super) fn settings(arguments: &Arguments, model: &Model) -> Result<Settings> {
    let weight_decay = arguments.weight_decay;
    let sgd = |nesterov| Optimiser::Sgd { momentum: arguments.momentum.unwrap_or(0.9), nesterov, weight_decay };
    if let (OptimiserName::Adamw, Some(momentum)) = (arguments.optimiser, arguments.momentum) {
        bail!(
            "--momentum {momentum} is for sgd and nesterov; adamw goes by means over about 10 and 1000 steps (0.9, 0.999)"
        );
    }
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
