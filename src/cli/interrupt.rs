//! Ctrl-C in the middle of long work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// The exit status of what Ctrl-C ended, by the shells' convention: 128 and the number of the signal, which is 2.
pub const EXIT_STATUS: u8 = 130;

/// Whether somebody pressed Ctrl-C.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first Ctrl-C only calls `told` and is seen by [`Interrupt::came`]; the second ends the program at
    /// once, for those who do not want to wait until somebody looks.
    pub fn listen(told: impl Fn() + Send + 'static) -> Result<Self> {
        let interrupt = Self::default();
        let came = interrupt.0.clone();
        let handler = move || match came.swap(true, Ordering::Relaxed) {
            false => told(),
            true => std::process::exit(i32::from(EXIT_STATUS)),
        };
        ctrlc::set_handler(handler).context("Ctrl-C cannot be listened for")?;
        Ok(interrupt)
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The error of a command that Ctrl-C ended: what is left of its work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);
