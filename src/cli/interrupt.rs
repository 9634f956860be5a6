//! Ctrl-C, and SIGTERM, in the middle of long work.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const SIGINT: u8 = 2;
/// What `kill`, `docker stop`, batch systems and machines that are about to be taken away send.
#[cfg(unix)]
const SIGTERM: u8 = 15;

/// A second signal within this time is no second wish: `timeout` and shells signal a process and then its whole group.
const ECHO: Duration = Duration::from_millis(300);

/// Which signal came first, 0 before there was one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// From now on the first signal only calls `told` and is seen by [`Interrupt::came`]; the second ends the program at
    /// once, for those who do not want to wait until somebody looks.
    pub fn listen(told: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let interrupt = Self::default();
        let (first, since) = (interrupt.0.clone(), OnceLock::new());
        let hear = Arc::new(move |signal: u8| {
            let since = since.get_or_init(Instant::now);
            match first.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => told(),
                Err(_) if since.elapsed() < ECHO => {}
                Err(_) => std::process::exit(i32::from(status(signal))),
            }
        });
        // Not by ctrlc, which would take SIGHUP, too, and with it what `nohup` is for.
        #[cfg(unix)]
        {
            let mut signals =
                signal_hook::iterator::Signals::new([i32::from(SIGTERM)]).context("SIGTERM cannot be listened for")?;
            let hear = hear.clone();
            std::thread::spawn(move || signals.forever().for_each(|_| hear(SIGTERM)));
        }
        ctrlc::set_handler(move || hear(SIGINT)).context("Ctrl-C cannot be listened for")?;
        Ok(interrupt)
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// The error with which a command ends for that reason.
    pub fn ended(&self, told: String) -> Interrupted {
        Interrupted { told, status: status(self.0.load(Ordering::Relaxed)) }
    }
}

/// The exit status of what a signal ended, by the shells' convention.
fn status(signal: u8) -> u8 {
    128 + signal
}

/// The error of a command that a signal ended: what is left of its work.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct Interrupted {
    told: String,
    /// The exit status that says so.
    pub status: u8,
}
