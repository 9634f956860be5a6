//! Runs a training loop to its end: progress bar, checkpoints, log, interruption.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use doconv::formats::write_file;
use doconv::training::{Advance, Epoch, TrainingLoop};
use indicatif::HumanDuration;
use pollster::block_on;

use super::super::interrupt::Interrupt;
use super::super::{output, progress};

/// Where a training run writes its checkpoints and its log, and what interrupts it.
pub(super) struct Runner<'a> {
    pub(super) checkpoint: &'a Path,
    pub(super) log: Option<&'a Path>,
    /// Between two checkpoints within an epoch.
    pub(super) interval: Duration,
    pub(super) interrupt: &'a Interrupt,
}

pub(super) fn listen() -> Result<Interrupt> {
    Interrupt::listen(|| output::note("writing a checkpoint; Ctrl-C again ends at once"))
}

impl Runner<'_> {
    /// Runs all epochs that are left; `title` names the run.
    pub(super) fn run_to_end(&self, title: &str, training: &mut TrainingLoop) -> Result<()> {
        /// How often the bar is drawn, and Ctrl-C and SIGTERM looked for.
        const TICK: Duration = Duration::from_millis(300);
        let epochs = training.settings().epochs;
        let mut saved = Instant::now();
        let mut bar = None;
        self.log(training.history())?;
        loop {
            let (done, _, steps) = training.position();
            let shown = bar.get_or_insert_with(|| progress::training(title, steps, done + 1, epochs));
            match block_on(training.advance(TICK))? {
                Advance::Done => {
                    shown.finish_and_clear();
                    return Ok(());
                }
                Advance::Steps => {
                    shown.set_position(training.position().1 as u64);
                    let totals = training.totals();
                    shown.set_message(format!(
                        "loss {:.3}, {:.1} % right, {:.0} images/s, {:#} left",
                        totals.mean_loss(),
                        100.0 * totals.accuracy(),
                        training.images_per_s(),
                        HumanDuration(left(training))
                    ));
                }
                Advance::Validation { done, count } => {
                    shown.set_message(format!("{done} of {count} images for validation"));
                }
                Advance::Epoch(epoch) => {
                    shown.finish_and_clear();
                    bar = None;
                    output::note(&format!("{title}{}", describe(&epoch, epochs)));
                    // The checkpoint comes first: what the log lacks can be added when the run is gone on with.
                    saved = self.save(training)?;
                    self.log(training.history())?;
                }
                // What a later version may do between steps needs no words.
                _ => {}
            }
            if saved.elapsed() >= self.interval {
                saved = self.save(training)?;
            }
            if self.interrupt.came() && training.position().0 < epochs {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                self.save(training)?;
                return Err(self.interrupt.ended(self.interrupted(title, training)).into());
            }
        }
    }

    fn interrupted(&self, title: &str, training: &TrainingLoop) -> String {
        let ((done, step, steps), epochs) = (training.position(), training.settings().epochs);
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
    fn save(&self, training: &mut TrainingLoop) -> Result<Instant> {
        write_file(self.checkpoint, &block_on(training.checkpoint())?)?;
        Ok(Instant::now())
    }
}

/// How long the remaining steps take at the speed of this epoch, without validation.
fn left(training: &TrainingLoop) -> Duration {
    let ((done, step, steps), epochs) = (training.position(), training.settings().epochs);
    let left = epochs.saturating_sub(done) as f64 * steps as f64 - step as f64;
    let images = left * training.settings().options.batch as f64;
    Duration::try_from_secs_f64(images / training.images_per_s()).unwrap_or_default()
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
