//! A progress bar for those who wait.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on stderr for `count` images; invisible where stderr is no terminal or there is little to wait for.
pub fn bar(count: usize, from: usize) -> ProgressBar {
    styled(count, count >= from, "{bar:30} {pos}/{len} images, {eta} left")
}

/// A bar on stderr for cases of a benchmark, of which the one that runs is the message.
pub fn cases() -> ProgressBar {
    styled(0, true, "{bar:30} {pos}/{len} {msg}")
}

/// A bar on stderr for layers whose kernels are timed, of which the one that is being timed is the message.
pub fn tuning() -> ProgressBar {
    styled(0, true, "timing kernels {bar:30} {pos}/{len} {msg}")
}

/// A bar on stderr for images that are decoded.
pub fn decoding(count: usize) -> ProgressBar {
    styled(count, true, "decoding {bar:30} {pos}/{len} images, {eta} left")
}

/// A bar on stderr for steps of an epoch, with how that goes, and how long all epochs take, as the message.
pub fn training(title: &str, steps: usize, epoch: u64, epochs: u64) -> ProgressBar {
    styled(steps, true, &format!("{title}epoch {epoch}/{epochs} {{bar:24}} {{pos}}/{{len}} {{msg}}"))
}

fn styled(count: usize, wanted: bool, template: &str) -> ProgressBar {
    let visible = std::io::stderr().is_terminal() && wanted;
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
