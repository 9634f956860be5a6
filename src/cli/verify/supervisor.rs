//! Workers one after the other, until every case is checked: where one ends before its time, the next begins behind the case that
//! it was at.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use doconv::verification::Summary;

use super::worker::Message;
use crate::cli::interrupt::Interrupt;
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

/// What a run is given.
pub struct Settings<'a> {
    /// The arguments of a worker but for its cases.
    pub arguments: &'a [String],
    /// A worker that prints nothing for so long is killed.
    pub patience: Duration,
    /// When this came, workers are killed, and the cases that they were at count as not run.
    pub interrupt: &'a Interrupt,
}

/// What a run has found.
pub struct Report {
    pub found: Found,
    pub summary: Summary,
    /// How many cases there are.
    pub total: usize,
}

/// Checks everything, or what is done until an interrupt. `told` hears of every case that begins, with how many are done and how
/// many there are.
pub fn supervise(settings: &Settings<'_>, told: impl Fn(usize, usize, &str) + Sync) -> Result<Report> {
    let (found, total) = probe(settings)?;
    // Software adapters compile and run on one thread of a process; a GPU is left to one.
    let is_software = found.adapter["type"] == "software";
    let count = if is_software { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let done = AtomicUsize::new(0);
    let told = |case: &str| told(done.fetch_add(1, Ordering::Relaxed), total, case);
    let part = |index: usize| index * total / count..(index + 1) * total / count;
    let checked = std::thread::scope(|scope| {
        let told = &told;
        let parts: Vec<_> =
            (0..count).map(|index| scope.spawn(move || check_part(settings, part(index), told))).collect();
        let join = |thread: ScopedJoinHandle<'_, Result<Vec<Checked>>>| match thread.join() {
            Ok(checked) => checked,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        parts.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut summary = Summary::default();
    for Checked { case, kernels, shaders, error, failure } in checked.into_iter().flatten() {
        summary.add(&case, &kernels, &shaders, error, failure);
    }
    Ok(Report { found, summary, total })
}

/// What came of a case.
struct Checked {
    case: String,
    kernels: Vec<String>,
    shaders: Vec<String>,
    error: f64,
    failure: Option<String>,
}

/// Opens the adapter in a worker without cases, and gives how many there are.
fn probe(settings: &Settings<'_>) -> Result<(Found, usize)> {
    let mut worker = Worker::start(settings.arguments, 0..0, false)?;
    loop {
        match worker.next(settings) {
            Event::Line(line) => match serde_json::from_str(&line) {
                Ok(Message::Ready { adapter, described, cases }) => {
                    worker.ended()?;
                    return Ok((Found { adapter, described }, cases));
                }
                _ => note(&line),
            },
            Event::Silence => {
                worker.kill()?;
                bail!("the adapter cannot be opened: {}", no_answer(settings.patience));
            }
            Event::Interrupt => {
                worker.kill()?;
                bail!(settings.interrupt.ended("stopped before any case was checked".into()));
            }
            Event::End => bail!("{}", worker.ended()?),
        }
    }
}

fn no_answer(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

/// Checks some cases.
fn check_part(settings: &Settings<'_>, part: Range<usize>, told: &(impl Fn(&str) + Sync)) -> Result<Vec<Checked>> {
    let mut checked: Vec<Checked> = vec![];
    let mut ended = 0;
    while checked.len() < part.len() {
        let before = checked.len();
        let mut worker = Worker::start(settings.arguments, part.start + before..part.end, ended > 0)?;
        // The case that it is at.
        let mut at: Option<Checked> = None;
        let end = loop {
            match worker.next(settings) {
                Event::Line(line) => match serde_json::from_str(&line) {
                    Ok(Message::Ready { .. }) => {}
                    Ok(Message::Begin { case, kernels, shaders }) => {
                        told(&case);
                        at = Some(Checked { case, kernels, shaders, error: f64::INFINITY, failure: None });
                    }
                    Ok(Message::End { error, failure }) => {
                        let done = at.take();
                        let error = error.unwrap_or(f64::INFINITY);
                        checked.extend(done.map(|case| Checked { error, failure, ..case }));
                    }
                    // Drivers print, too.
                    Err(_) => note(&line),
                },
                Event::Silence => {
                    worker.kill()?;
                    break no_answer(settings.patience);
                }
                Event::Interrupt => {
                    worker.kill()?;
                    return Ok(checked);
                }
                Event::End => break worker.ended()?,
            }
        };
        checked.extend(at.map(|case| Checked { failure: Some(end.clone()), ..case }));
        let is_stuck = checked.len() == before && ended > 0;
        ended += 1;
        let left = part.len() - checked.len();
        if left > 0 && (is_stuck || ended == MOST_ENDED) {
            let reason = if is_stuck { end } else { format!("{ended} processes have ended in other cases") };
            let (case, failure) = (format!("the {left} cases left"), Some(format!("not run: {reason}")));
            checked.push(Checked { case, kernels: vec![], shaders: vec![], error: f64::INFINITY, failure });
            break;
        }
    }
    Ok(checked)
}

/// What a worker does next.
enum Event {
    /// It has printed a line.
    Line(String),
    /// It has printed nothing for longer than the patience.
    Silence,
    /// It has closed its output.
    End,
    /// The whole run is to stop.
    Interrupt,
}

/// How often is looked whether an interrupt came.
const POLL: Duration = Duration::from_millis(100);

/// For so long after an interrupt, what workers have printed is still read.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A process that checks cases.
struct Worker {
    child: Child,
    /// Closed when this process ends, however that happens; the worker ends then.
    _stdin: Option<ChildStdin>,
    /// When it was first seen that an interrupt came.
    interrupted: OnceCell<Instant>,
    lines: Receiver<String>,
    /// What it has last said on stderr.
    last_words: Option<JoinHandle<String>>,
}

impl Worker {
    fn start(arguments: &[String], cases: Range<usize>, one_by_one: bool) -> Result<Self> {
        let program = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(program);
        in_own_group(&mut command);
        let mut child = command
            .args(arguments)
            .args(["--worker", &cases.start.to_string(), &cases.end.to_string()])
            .args(one_by_one.then_some("--one-by-one"))
            .stdin(Stdio::piped())
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
            for line in stderr.into_iter().flat_map(lossy_lines) {
                if !line.starts_with("error: ") {
                    note(&line);
                }
                last = line;
            }
            last
        });
        let (_stdin, interrupted) = (child.stdin.take(), OnceCell::new());
        Ok(Self { child, _stdin, interrupted, lines, last_words: Some(last_words) })
    }

    fn next(&self, settings: &Settings<'_>) -> Event {
        let start = Instant::now();
        loop {
            // What it has said until now counts.
            if settings.interrupt.came() && self.interrupted.get_or_init(Instant::now).elapsed() > LAST_LINES {
                return Event::Interrupt;
            }
            match self.lines.recv_timeout(POLL) {
                Ok(line) => return Event::Line(line),
                Err(RecvTimeoutError::Disconnected) => return Event::End,
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= settings.patience => return Event::Silence,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Kills it. It is not waited for: a process that hangs in a driver may not even end when it is killed.
    fn kill(&mut self) -> Result<()> {
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

/// Keeps Ctrl-C, which a terminal sends to every process of a group, from workers: the case that one is at would seem to have failed.
fn in_own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
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
