//! A progress bar for those who wait.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on stderr for `count` things; invisible where stderr is no terminal or there is little to wait for.
pub fn bar(count: usize, from: usize) -> ProgressBar {
    let visible = std::io::stderr().is_terminal() && count >= from;
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} images, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
