//! `doconv classify`: the classes of images.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use doconv::{Error, Image, Mode, Precision, Prediction, blocking};
use rayon::prelude::*;
use serde::Serialize;

use super::adapter::{AdapterArguments, AdapterJson, describe};
use super::inputs::{self, Source};
use super::mode::ModeName;
use super::{model, onnx, output, precision, progress};

/// Say what is in images
///
/// IMAGE is a file (JPEG, PNG, WebP, BMP or GIF, whatever it is called), a directory (the images directly inside it),
/// a pattern such as 'photos/**/*.jpg', or `-` for stdin.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv classify photo.jpg
  doconv classify holidays/ 'more/**/*.jpg' --top 1
  doconv classify photo.jpg --model mine.safetensors --adapter cpu
  doconv classify photo.jpg --model resnet50.pth --arch resnet50
  doconv classify photo.jpg --model cifar10      airplane, bird, cat …: the bundled network that was trained with DO-Conv
  curl -s https://example.org/cat.jpg | doconv classify - --json

An image that cannot be read is reported, the others go on, and the exit status is 1. elapsed_ms is an image's share
of the time of its batch: preprocessing, upload, network, read-back; reading and decoding files is not in it.")]
pub struct Arguments {
    /// Files, directories, patterns, or `-` for stdin
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Model file, ONNX file, `cifar10` for the bundled CIFAR-10 network, or with --arch a file of weights [default: the
    /// bundled ImageNet network]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    arch: model::Arch,
    /// How many classes to show per image
    #[arg(long, value_name = "K", default_value = "5")]
    top: NonZeroUsize,
    /// How DO-Conv layers are run
    #[arg(long, value_enum, default_value_t)]
    mode: ModeName,
    /// How many images are computed at a time
    #[arg(long, value_name = "N", default_value = "8")]
    batch: NonZeroUsize,
    #[command(flatten)]
    adapter: AdapterArguments,
    /// Print one JSON document; images that could not be read have `error` instead of `predictions`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    adapter: AdapterJson<'a>,
    model: &'a str,
    mode: &'static str,
    precision: Precision,
    load_ms: f64,
    results: &'a [Outcome],
}

/// What became of one image.
#[derive(Serialize)]
struct Outcome {
    image: String,
    #[serde(flatten)]
    result: Predicted,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Predicted {
    Done { predictions: Vec<Prediction>, elapsed_ms: f64 },
    Failed { error: String },
}

type Decoded = Vec<(String, doconv::Result<Image>)>;

pub fn main(arguments: Arguments) -> Result<()> {
    let sources = inputs::expand(&arguments.images)?;
    let adapter = arguments.adapter.open()?;
    let mode = Mode::from(arguments.mode);
    let start = Instant::now();
    let model = arguments.arch.open_or_bundled(arguments.model.as_deref())?;
    if let Some(path) = arguments.model.as_ref().filter(|path| onnx::is_onnx(path))
        && model.network().preprocess.is_none()
    {
        bail!(
            "{}: this ONNX file does not describe its preprocessing (size, crop, mean and standard \
             deviation), as those of `doconv fold` do, and classes would be wrong with a guess; make that array and use \
             `doconv run`",
            path.display()
        );
    }
    let mut session = blocking::Session::load(&adapter, &model, mode)?;
    let load_ms = output::elapsed_ms(start);
    let precision = session.inner().precision();
    let name = &model.network().name;

    let count = sources.len();
    let bar = progress::bar(count, 2 * arguments.batch.get());
    let mut outcomes: Vec<Outcome> = vec![];
    let start = Instant::now();
    for decoded in decode(sources, arguments.batch.get()) {
        let results = classify(&mut session, decoded, arguments.top.get())
            .with_context(|| format!("model {name} on {}", adapter.info().name))?;
        bar.suspend(|| show(&results, arguments.json))?;
        bar.inc(results.len() as u64);
        outcomes.extend(results);
    }
    bar.finish_and_clear();
    let total_ms = output::elapsed_ms(start);

    let failed = outcomes.iter().filter(|outcome| matches!(outcome.result, Predicted::Failed { .. })).count();
    if failed < count {
        if arguments.json {
            let adapter = AdapterJson::from(adapter.info());
            let mode = mode.name();
            output::print_json(&Document { adapter, model: name, mode, precision, load_ms, results: &outcomes })?;
        } else {
            let computing: f64 = outcomes.iter().map(|outcome| outcome.elapsed_ms()).sum();
            output::print(&format!(
                "{} in {total_ms:.0} ms, computing took {:.1} ms per image; {name} loaded in {load_ms:.0} ms\n\
                 {} mode{} on {}\n",
                images(count - failed),
                computing / (count - failed) as f64,
                mode.name(),
                precision::words(precision),
                describe(adapter.info()),
            ))?;
        }
    }
    match failed {
        0 => Ok(()),
        // The one line that an error is was printed when it happened.
        1 if count == 1 => std::process::exit(1),
        _ => bail!("{failed} of {} could not be classified", images(count)),
    }
}

impl Outcome {
    fn elapsed_ms(&self) -> f64 {
        match self.result {
            Predicted::Done { elapsed_ms, .. } => elapsed_ms,
            Predicted::Failed { .. } => 0.0,
        }
    }
}

/// Decodes batches in another thread, one ahead of what is being computed.
fn decode(sources: Vec<Source>, batch: usize) -> mpsc::IntoIter<Decoded> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for chunk in sources.chunks(batch) {
            let decoded = chunk.par_iter().map(|source| (source.name(), source.open())).collect();
            // Nobody listens any more once computing has failed.
            if sender.send(decoded).is_err() {
                break;
            }
        }
    });
    receiver.into_iter()
}

/// Classifies what could be decoded of a batch.
fn classify(session: &mut blocking::Session, decoded: Decoded, top_k: usize) -> doconv::Result<Vec<Outcome>> {
    let mut images = vec![];
    let mut errors = vec![];
    for (name, image) in decoded {
        match image {
            Ok(image) => {
                images.push(image);
                errors.push((name, None));
            }
            Err(error) => errors.push((name, Some(output::describe(&error.into())))),
        }
    }
    let start = Instant::now();
    let mut answers = session.classify_each(&images, top_k)?.into_iter();
    let elapsed_ms = output::round_ms(output::elapsed_ms(start) / images.len().max(1) as f64);
    let outcome = |(image, error): (String, Option<String>)| {
        let result = match error {
            Some(error) => Predicted::Failed { error },
            None => match answers.next().unwrap_or_else(|| Ok(vec![])) {
                Ok(predictions) => Predicted::Done { predictions, elapsed_ms },
                Err(error) => Predicted::Failed { error: output::describe(&named(error, &image).into()) },
            },
        };
        Outcome { image, result }
    };
    Ok(errors.into_iter().map(outcome).collect())
}

/// The same with the name of the image, of which a session only knows the place.
fn named(error: Error, name: &str) -> Error {
    match error {
        Error::NoBestClass { value, way_out, .. } => {
            Error::NoBestClass { image: format!("image `{}`", output::printable(name)), value, way_out }
        }
        other => other,
    }
}

/// Errors at once, and results where no JSON document is going to hold them.
fn show(outcomes: &[Outcome], json: bool) -> Result<()> {
    for outcome in outcomes {
        match &outcome.result {
            Predicted::Failed { error } => output::note(&format!("error: {error}")),
            Predicted::Done { predictions, .. } if !json => {
                let mut text = format!("{}\n", output::printable(&outcome.image));
                for Prediction { label, probability, .. } in predictions {
                    let label = output::printable(label);
                    text += &format!("  {:<BAR$} {:5.1} %  {label}\n", bar(*probability), 100.0 * probability);
                }
                output::print(&(text + "\n"))?;
            }
            Predicted::Done { .. } => {}
        }
    }
    Ok(())
}

/// Cells of a full bar.
const BAR: usize = 20;

/// A bar as long as a probability, in eighths of a cell.
fn bar(probability: f32) -> String {
    // NaN becomes 0.
    let eighths = (probability * (8 * BAR) as f32).round().clamp(0.0, (8 * BAR) as f32) as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

fn images(count: usize) -> String {
    if count == 1 { "1 image".into() } else { format!("{count} images") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_right_length() {
        assert_eq!([0.0, 1.0, 2.0, f32::NAN].map(|p| bar(p).chars().count()), [0, BAR, BAR, 0]);
        assert_eq!(bar(0.525), "██████████▌");
    }

    #[test]
    fn what_is_no_number_is_null_in_json() {
        let prediction = Prediction { class: 1, label: "cat".into(), probability: f32::NAN };
        let result = Predicted::Done { predictions: vec![prediction], elapsed_ms: f64::INFINITY };
        let json = serde_json::to_string(&Outcome { image: "a".into(), result }).unwrap();
        let expected =
            r#"{"image":"a","predictions":[{"class":1,"label":"cat","probability":null}],"elapsed_ms":null}"#;
        assert_eq!(json, expected);
    }
}
