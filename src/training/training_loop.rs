//! The training loop: epochs over a data set, validation, checkpoints.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::data::{Augment, Batch, Batches, DataSet, Shaping};
use super::trainer::Begun;
use super::{Options, Schedule, Totals, Trainer};
use crate::formats::{Metadata, read_tensors, write_tensors};
use crate::session::Executor;
use crate::{Adapter, Dtype, Error, Mode, Model, Network, Result, Weights, plan::Plan};

/// How a network is trained with a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How often every image is seen.
    pub epochs: u64,
    /// The learning rate at its highest.
    pub rate: f32,
    /// How it changes.
    pub schedule: Schedule,
    /// How much of the probability of an image's class is shared among all.
    pub smoothing: f32,
    /// How images are varied.
    pub augment: Augment,
    /// The order of the images, and how they are varied.
    pub seed: u64,
    /// Batch, optimiser, and what is frozen. A batch is no larger than all images to learn from.
    pub options: Options,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: 10,
            rate: 0.1,
            schedule: Schedule::default(),
            smoothing: 0.0,
            augment: Augment::default(),
            seed: 0,
            options: Options::default(),
        }
    }
}

impl Settings {
    /// Checks what needs neither data nor a network for that.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with what is out of range.
    pub fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::Unsupported(reason));
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return fail(format!("a learning rate of {} is not a finite number ≥ 0", self.rate));
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return fail(format!("label smoothing {} is not at least 0 and below 1", self.smoothing));
        }
        if self.epochs == 0 {
            return fail("0 epochs train nothing; use 1 or more".into());
        }
        self.options.check()
    }

    /// The same with batches that hold no image twice, and that are about as large as each other: as many to an epoch as
    /// there would be anyway. So hardly any image is seen more often than others, of 130 in batches of 128 for instance.
    #[must_use]
    pub fn within(mut self, data: &DataSet) -> Self {
        let (count, options) = (data.train.labels.len(), &mut self.options);
        // What is out of range is refused later.
        if count == 0 || options.parts == 0 || options.batch == 0 || !options.batch.is_multiple_of(options.parts) {
            return self;
        }
        if options.batch > count {
            options.parts = options.parts.min(count);
            options.batch = count - count % options.parts;
        }
        let steps = count.div_ceil(options.batch);
        options.batch = count.div_ceil(steps).next_multiple_of(options.parts);
        self
    }
}

/// What came of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1 on.
    pub epoch: u64,
    /// The mean cross-entropy of the images when each was learned from.
    pub train_loss: f64,
    /// The share of them that was right then.
    pub train_accuracy: f64,
    /// The mean cross-entropy of the images for validation, by the folded network, after the epoch; none without such images.
    pub validation_loss: Option<f64>,
    /// The share of them that was right.
    pub validation_accuracy: Option<f64>,
    /// The learning rate at its end.
    pub rate: f64,
    /// Images learned from per second.
    pub images_per_s: f64,
}

/// The position in a training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// Whole epochs.
    epochs: u64,
    /// Steps of the next one.
    step: usize,
    /// What has come of these.
    totals: Totals,
    /// How long they took.
    seconds: f64,
    /// What came of the epochs.
    history: Vec<Epoch>,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Description {
    network: Network,
    settings: Settings,
    progress: Progress,
    /// Images to learn from, for validation, and classes.
    counts: [usize; 3],
    /// [`DataSet::checksum`].
    data: u32,
    /// A checksum (CRC-32) of the tensors.
    state: u32,
}

const CHECKPOINT_KEY: &str = "doconv.training";

/// The state of a training run, from which it can be resumed.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    state: Weights,
    network: Network,
    settings: Settings,
    progress: Progress,
    counts: [usize; 3],
    data: u32,
}

impl Checkpoint {
    /// Reads what [`TrainingLoop::checkpoint`] gives; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] or [`Error::ModelFile`] if it is none, or was damaged.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let fail = |reason: String| Error::ModelFile { name: name.into(), reason };
        let (state, metadata) = read_tensors(name, bytes)?;
        let json = metadata.get(CHECKPOINT_KEY).ok_or_else(|| {
            fail(format!("is no checkpoint: it has no entry `{CHECKPOINT_KEY}`; to begin with the weights of a model, name that with --init"))
        })?;
        let description =
            serde_json::from_str(json).map_err(|error| fail(format!("its entry `{CHECKPOINT_KEY}`: {error}")))?;
        let Description { network, settings, progress, counts, data, state: sum } = description;
        if checksum(&state) != sum {
            return Err(fail("was damaged: its tensors are not what they were when it was written".into()));
        }
        Ok(Self { state, network, settings, progress, counts, data })
    }

    /// How it was trained.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same with another number of epochs: the learning rate follows that from here on.
    #[must_use]
    pub fn with_epochs(mut self, epochs: u64) -> Self {
        self.settings.epochs = epochs;
        self
    }

    /// The network, which says how images are to be shaped.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Epochs that are done.
    pub fn epochs(&self) -> u64 {
        self.progress.epochs
    }

    /// Images to learn from, for validation, and classes.
    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// The [`DataSet::checksum`] of what it learned from.
    pub fn data_checksum(&self) -> u32 {
        self.data
    }

    fn check_data(&self, data: &DataSet) -> Result<()> {
        let (then, now) = (self.counts, data.counts());
        let reason = if then == now && self.data == data.checksum() {
            return Ok(());
        } else if then == now && self.network.labels != data.classes {
            format!("was made with the classes {}, these are {}", listed(&self.network.labels), listed(&data.classes))
        } else if then == now {
            "was made with other data, which only has as many images".into()
        } else {
            let [learned, tried, classes] = then;
            let mut reason = format!(
                "was made with {learned} images to learn from, {tried} for validation and {classes} classes, here are {}, {} \
                 and {}",
                now[0], now[1], now[2]
            );
            if learned + tried == now[0] + now[1] {
                reason += &format!("; then {tried} were held back (--validation {tried})");
            }
            reason
        };
        Err(Error::Unsupported(format!("the checkpoint {reason}: go on with the data that it was made with")))
    }

    /// The model as it was.
    ///
    /// # Errors
    /// [`Error::Weight`] if something is missing.
    pub fn model(&self) -> Result<Model> {
        let named = self.state.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("parameter.")?, tensor)));
        Model::new(self.network.clone(), named.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect())
    }
}

/// What [`TrainingLoop::advance`] did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Advance {
    /// Some steps were taken.
    Steps,
    /// All steps of the epoch are taken, and some of the images for validation were classified.
    Validation {
        /// How many.
        done: usize,
        /// Of how many.
        count: usize,
    },
    /// An epoch is over.
    Epoch(Epoch),
    /// All are.
    Done,
}

/// Trains a network on a data set, epoch by epoch.
///
/// The same seed on the same adapter gives the same network, also by way of checkpoints.
#[derive(Debug)]
pub struct TrainingLoop {
    adapter: Adapter,
    trainer: Trainer,
    batches: Batches,
    /// The checksum of its data.
    data: u32,
    settings: Settings,
    progress: Progress,
    /// Made when it is first wanted.
    ahead: Option<Receiver<Result<Batch>>>,
    /// The batch of the next step, until that is taken: a step that fails, or whose future is dropped, is taken again.
    next: Option<(Batch, Begun)>,
    /// Whether steps were taken since the totals were last read.
    unread: bool,
    /// While the images for validation are classified.
    validation: Option<Validation>,
}

/// The folded network at the end of an epoch, on its way through the images for validation.
#[derive(Debug)]
struct Validation {
    executor: Executor,
    totals: Totals,
}

impl TrainingLoop {
    /// Begins with a model, whose network has to have the data's classes.
    ///
    /// # Errors
    /// Those of [`Trainer::new`]; [`Error::Unsupported`] for settings that are out of range, or a network for other data.
    pub async fn new(adapter: &Adapter, model: &Model, data: Arc<DataSet>, settings: Settings) -> Result<Self> {
        let fail = |reason: String| Err(Error::Unsupported(reason));
        settings.check()?;
        let settings = settings.within(&data);
        let network = model.network();
        let wanted = network.inputs.first().map(|input| input.shape);
        if wanted != Some(data.shape) {
            return fail(format!("the images are {:?}, the network wants {wanted:?}", data.shape));
        }
        let trainer = Trainer::new(adapter, model, &settings.options).await?;
        if trainer.classes() != data.classes.len() {
            return fail(format!("the data has {} classes, the network {}", data.classes.len(), trainer.classes()));
        }
        let Shaping { preprocess, .. } = Shaping::new(data.shape, network.preprocess.as_ref())?;
        let Settings { augment, smoothing, seed, .. } = settings;
        let checksum = data.checksum();
        let batches = Batches { data, preprocess, batch: settings.options.batch, augment, smoothing, seed };
        let progress = Progress::default();
        Ok(Self {
            adapter: adapter.clone(),
            trainer,
            batches,
            data: checksum,
            settings,
            progress,
            ahead: None,
            next: None,
            unread: false,
            validation: None,
        })
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// Those of [`TrainingLoop::new`]; [`Error::Unsupported`] if the data is not what it was.
    pub async fn resume(adapter: &Adapter, checkpoint: &Checkpoint, data: Arc<DataSet>) -> Result<Self> {
        checkpoint.check_data(&data)?;
        let model = checkpoint.model()?;
        let mut training = Self::new(adapter, &model, data, checkpoint.settings.clone()).await?;
        training.progress = checkpoint.progress.clone();
        let (epochs, step, count) = training.position();
        let steps = epochs.checked_mul(count as u64).and_then(|steps| steps.checked_add(step as u64));
        let Some(steps) = steps.filter(|_| step <= count) else {
            return Err(Error::Unsupported(format!(
                "the checkpoint is damaged: it says {epochs} epochs and {step} of {count} steps"
            )));
        };
        training.trainer.restore(&checkpoint.state, steps).await?;
        training.trainer.set_totals(training.progress.totals).await?;
        Ok(training)
    }

    /// How it trains.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The trainer.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// Epochs that are done, and steps of the one that goes on, with how many it has.
    pub fn position(&self) -> (u64, usize, usize) {
        (self.progress.epochs, self.progress.step, self.batches.count())
    }

    /// What has come of the images of the epoch that goes on, when it was last looked at.
    pub fn totals(&self) -> Totals {
        self.progress.totals
    }

    /// Images per second in the epoch that goes on.
    pub fn images_per_s(&self) -> f64 {
        rate(&self.progress)
    }

    /// What came of the epochs.
    pub fn history(&self) -> &[Epoch] {
        &self.progress.history
    }

    /// Takes steps for about so long, at least one, and at most to the end of the epoch; then classifies images for
    /// validation, for about so long at a time.
    ///
    /// After an error, or where the future is dropped, the course can be gone on with: the next step is that with the same
    /// batch.
    ///
    /// # Errors
    /// Those of the adapter; [`Error::Unsupported`] when the loss is no longer a number.
    pub async fn advance(&mut self, time: Duration) -> Result<Advance> {
        if self.progress.epochs >= self.settings.epochs {
            return Ok(Advance::Done);
        }
        let count = self.batches.count();
        if self.progress.step == count {
            self.read_totals().await?;
            return self.validate(time).await;
        }
        let start = Instant::now();
        let mut counted = Duration::ZERO;
        while self.progress.step < count {
            self.take_step().await?;
            let elapsed = start.elapsed();
            self.progress.seconds += (elapsed - counted).as_secs_f64();
            counted = elapsed;
            if elapsed >= time {
                break;
            }
        }
        self.read_totals().await?;
        self.progress.seconds += (start.elapsed() - counted).as_secs_f64();
        Ok(Advance::Steps)
    }

    /// Takes the next step, or what is left of it.
    async fn take_step(&mut self) -> Result<()> {
        let rate = self.rate() as f32;
        let (batch, begun) = match &mut self.next {
            Some(next) => next,
            none => none.insert((made_ahead(&mut self.ahead, &self.batches, &self.progress)?, Begun::default())),
        };
        self.unread = true;
        self.trainer.go_on(&batch.images, &batch.targets, rate, begun).await?;
        self.next = None;
        self.progress.step += 1;
        Ok(())
    }

    /// What has come of the images, unless that is known.
    async fn read_totals(&mut self) -> Result<()> {
        if self.unread {
            self.progress.totals = self.trainer.totals_so_far().await?;
            self.unread = false;
        }
        let loss = self.progress.totals.loss;
        if loss.is_finite() { Ok(()) } else { Err(self.diverged(&format!("the loss is {loss}"))) }
    }

    /// The end of an epoch.
    async fn end_epoch(&mut self, validation: Option<Totals>) -> Result<Advance> {
        self.trainer.set_totals(Totals::default()).await?;
        self.validation = None;
        let totals = self.progress.totals;
        let epoch = Epoch {
            epoch: self.progress.epochs + 1,
            train_loss: totals.mean_loss(),
            train_accuracy: totals.accuracy(),
            validation_loss: validation.map(|totals| totals.mean_loss()),
            validation_accuracy: validation.map(|totals| totals.accuracy()),
            rate: self.rate_at(self.done()),
            images_per_s: rate(&self.progress),
        };
        self.progress.history.push(epoch.clone());
        self.progress = Progress {
            epochs: self.progress.epochs + 1,
            history: std::mem::take(&mut self.progress.history),
            ..Progress::default()
        };
        Ok(Advance::Epoch(epoch))
    }

    /// Steps that are taken.
    fn done(&self) -> f64 {
        self.progress.epochs as f64 * self.batches.count() as f64 + self.progress.step as f64
    }

    /// The learning rate when so many steps are taken.
    fn rate_at(&self, done: f64) -> f64 {
        let all = self.settings.epochs as f64 * self.batches.count() as f64;
        f64::from(self.settings.rate) * self.settings.schedule.factor((done / all).min(1.0))
    }

    /// The learning rate of the next step: that of its middle, so that neither the first nor the last is one of 0.
    fn rate(&self) -> f64 {
        self.rate_at(self.done() + 0.5)
    }

    /// Lets the folded network classify some of the images for validation; with the last of them the epoch ends.
    async fn validate(&mut self, time: Duration) -> Result<Advance> {
        let count = self.batches.data.validation.labels.len();
        if count == 0 {
            return self.end_epoch(None).await;
        }
        let start = Instant::now();
        if self.validation.is_none() {
            let model = self.model().await?;
            let plan = Plan::new(&model, Mode::Folded).map_err(|error| self.diverged_or(error))?;
            let executor = Executor::load(&self.adapter, &plan).await?;
            self.validation = Some(Validation { executor, totals: Totals::default() });
        }
        let Some(Validation { executor, totals }) = &mut self.validation else { return self.end_epoch(None).await };
        let classes = self.trainer.classes();
        let batch = self.settings.options.batch / self.settings.options.parts;
        while (totals.images as usize) < count {
            let (images, labels) = self.batches.validation(totals.images as usize, batch);
            let logits = executor.run(labels.len(), &[&images]).await?.swap_remove(0);
            for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
                totals.images += 1;
                totals.loss += sum.ln() - f64::from(logits[label] - largest);
                let best = (0..classes).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
                // Where a logit is NaN, so is the loss, and nothing is right.
                let is_right = best == label && !logits.iter().any(|logit| logit.is_nan());
                totals.correct += f64::from(u8::from(is_right));
            }
            let done = totals.images as usize;
            if done < count && start.elapsed() >= time {
                return Ok(Advance::Validation { done, count });
            }
        }
        let totals = *totals;
        self.end_epoch(Some(totals)).await
    }

    /// The model as it is now, composed where it was.
    ///
    /// # Errors
    /// Those of [`Trainer::model`]; [`Error::Diverged`] if a parameter is NaN or infinite.
    pub async fn model(&mut self) -> Result<Model> {
        self.trainer.model().await.map_err(|error| self.diverged_or(error))
    }

    fn diverged_or(&self, error: Error) -> Error {
        match error {
            Error::Weight { tensor, reason } => self.diverged(&format!("`{tensor}`: {reason}")),
            other => other,
        }
    }

    fn diverged(&self, what: &str) -> Error {
        Error::Diverged { epoch: self.progress.epochs + 1, what: what.into(), rate: self.settings.rate }
    }

    /// A file with everything there is to go on from here: weights, the optimiser's moments, settings and place.
    ///
    /// # Errors
    /// Those of the adapter.
    pub async fn checkpoint(&mut self) -> Result<Vec<u8>> {
        if self.unread {
            self.progress.totals = self.trainer.totals_so_far().await?;
            self.unread = false;
        }
        let mut state = self.trainer.state().await?;
        let model = self.model().await?;
        state.extend(model.weights().iter().map(|(name, tensor)| (format!("parameter.{name}"), tensor.clone())));
        let description = Description {
            network: model.network().clone(),
            settings: self.settings.clone(),
            progress: self.progress.clone(),
            counts: self.batches.data.counts(),
            data: self.data,
            state: checksum(&state),
        };
        let json = serde_json::to_string(&description).map_err(|error| Error::Unsupported(error.to_string()))?;
        let tensors = state.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_tensors(tensors, &Metadata::from([(CHECKPOINT_KEY.to_owned(), json)]), Dtype::F32)
    }
}

/// The next batch of those that are made ahead. Where there is none, they are made anew from the same place on.
fn made_ahead(
    ahead: &mut Option<Receiver<Result<Batch>>>,
    batches: &Batches,
    Progress { epochs, step, .. }: &Progress,
) -> Result<Batch> {
    let receiver = match ahead.take() {
        Some(receiver) => receiver,
        None => batches.ahead(*epochs, *step)?,
    };
    let made = receiver.recv();
    let batch = made.unwrap_or_else(|_| Err(Error::Unsupported("the thread that makes batches has ended".into())))?;
    *ahead = Some(receiver);
    Ok(batch)
}

/// The first few names.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(4).map(|name| format!("`{name}`")).collect();
    shown.join(", ") + if names.len() > 4 { " …" } else { "" }
}

fn rate(progress: &Progress) -> f64 {
    if progress.seconds > 0.0 { progress.totals.images as f64 / progress.seconds } else { 0.0 }
}

/// CRC-32 of all names and values.
fn checksum(tensors: &Weights) -> u32 {
    let mut crc = flate2::Crc::new();
    for (name, tensor) in tensors {
        crc.update(name.as_bytes());
        crc.update(bytemuck::cast_slice(tensor.data()));
    }
    crc.sum()
}
