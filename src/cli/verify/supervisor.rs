//! Workers one after the other, until every case is checked: where one ends before its time, the next begins behind the case that
//! it was at.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use doconv::verification::Summary;

use super::worker::Message;
use crate::cli::output::note;

/// Workers that may end before their time until the rest is left: each costs seconds, and a driver that bad is known by then.
const MOST_ENDED: usize = 50;

/// The adapter, as the first worker has found it.
pub struct Found {
    /// As in all documents.
    pub adapter: serde_json::Value,
    /// The same in a few words.
    pub described: String,
}

/// Checks everything. `arguments` are those of a worker but for the case that it begins with; `told` hears of every case that
/// begins, with its number and how many there are. A worker that says nothing for so long is ended.
pub fn supervise(
    arguments: &[String],
    patience: Duration,
    mut told: impl FnMut(usize, usize, &str),
) -> Result<(Found, Summary)> {
    let mut summary = Summary::default();
    let (mut found, mut total) = (None, usize::MAX);
    let mut ended = 0;
    while summary.checked() < total {
        let first = summary.checked();
        let mut worker = Worker::start(arguments, first, ended > 0)?;
        // The case that it is at.
        let mut at: Option<(String, Vec<String>, Vec<String>)> = None;
        let end = loop {
            match worker.lines.recv_timeout(patience) {
                Ok(line) => match serde_json::from_str(&line) {
                    // Drivers print, too.
                    Err(_) => note(&line),
                    Ok(Message::Ready { adapter, described, cases }) => {
                        total = cases;
                        found.get_or_insert(Found { adapter, described });
                    }
                    Ok(Message::Begin { case, kernels, shaders }) => {
                        told(summary.checked(), total, &case);
                        at = Some((case, kernels, shaders));
                    }
                    Ok(Message::End { error, failure }) => {
                        if let Some((case, kernels, shaders)) = at.take() {
                            summary.add(&case, &kernels, &shaders, error.unwrap_or(f64::INFINITY), failure);
                        }
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    worker.end()?;
                    break format!("no answer within {} s", patience.as_secs());
                }
                Err(RecvTimeoutError::Disconnected) => break worker.ended()?,
            }
        };
        if found.is_none() {
            bail!("{end}");
        }
        if let Some((case, kernels, shaders)) = at {
            summary.add(&case, &kernels, &shaders, f64::INFINITY, Some(end.clone()));
        }
        let is_stuck = summary.checked() == first && ended > 0;
        ended += 1;
        let left = total - summary.checked();
        if left > 0 && (is_stuck || ended == MOST_ENDED) {
            let reason = if is_stuck { end } else { format!("{ended} processes have ended in other cases") };
            let rest = format!("the {left} cases left");
            summary.add(&rest, &[], &[], f64::INFINITY, Some(format!("not run: {reason}")));
            break;
        }
    }
    match found {
        Some(found) => Ok((found, summary)),
        None => bail!("no worker has opened the adapter"),
    }
}

/// A process that checks cases.
struct Worker {
    child: Child,
    lines: Receiver<String>,
    /// What it has last said on stderr.
    last_words: Option<JoinHandle<String>>,
}

impl Worker {
    fn start(arguments: &[String], first: usize, one_by_one: bool) -> Result<Self> {
        let program = std::env::current_exe().context("this program's own file")?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--worker", &first.to_string()])
            .args(one_by_one.then_some("--one-by-one"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("a process for the checks")?;
        let (sender, lines) = channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let last_words = std::thread::spawn(move || {
            let mut last = String::new();
            for line in stderr.into_iter().flat_map(|stderr| lossy_lines(stderr)) {
                if !line.starts_with("error: ") {
                    note(&line);
                }
                last = line;
            }
            last
        });
        Ok(Self { child, lines, last_words: Some(last_words) })
    }

    /// Ends it. It is not waited for: a process that hangs in a driver may not even end when it is killed.
    fn end(&mut self) -> Result<()> {
        self.child.kill().context("a process that gives no answer")
    }

    /// How it ended, when it has closed its output.
    fn ended(&mut self) -> Result<String> {
        let status = self.child.wait().context("a process for the checks")?;
        let words = self.last_words.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Ok(match (words.strip_prefix("error: "), status.code()) {
            (Some(error), Some(1)) => error.to_owned(),
            _ if words.is_empty() => format!("the process ended: {}", describe(status)),
            _ => format!("the process ended: {}; its last words: {words}", describe(status)),
        })
    }
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}

/// Lines of what need not be text.
fn lossy_lines(stream: impl Read) -> impl Iterator<Item = String> {
    let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
}
