//! Times one classification on every adapter of this machine: `cargo run --release --example measure [-- RUNS]`.
//!
//! Each adapter is measured in a process of its own, so that first runs are first runs and memory is its own; Mesa's
//! shader cache is off. Loading includes opening the adapter, planning, uploading and folding; the image is decoded
//! beforehand.

use std::process::Command;
use std::time::Instant;

use doconv::{Image, Mode, Model, Selector, blocking};

/// Set to an adapter's index in the processes that measure.
const CHILD: &str = "DOCONV_MEASURE_ADAPTER";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runs: usize = std::env::args().nth(1).map_or(Ok(5), |runs| runs.parse())?;
    if let Ok(index) = std::env::var(CHILD) {
        return measure(index, runs.max(1));
    }
    println!("{:<40} {:>9} {:>10} {:>11} {:>12}", "adapter", "load ms", "first ms", "steady ms", "peak MiB");
    for index in 0..blocking::list_adapters().len() {
        let child = Command::new(std::env::current_exe()?)
            .arg(runs.to_string())
            .env(CHILD, index.to_string())
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .status()?;
        if !child.success() {
            return Err(format!("measuring adapter {index} failed: {child}").into());
        }
    }
    Ok(())
}

fn measure(index: String, runs: usize) -> Result<(), Box<dyn std::error::Error>> {
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png"))?;
    let start = Instant::now();
    let adapter = blocking::open(&Selector::Named(index))?;
    let mut session = blocking::Session::load(&adapter, &Model::bundled()?, Mode::Folded)?;
    let load = start.elapsed();

    let mut classify = || -> doconv::Result<_> {
        let start = Instant::now();
        let best = session.classify(std::slice::from_ref(&image), 1)?.swap_remove(0).swap_remove(0);
        Ok((start.elapsed().as_secs_f64() * 1e3, best))
    };
    let (first, best) = classify()?;
    assert!(best.label.contains("cat"), "wrong answer: {}", best.label);
    let mut times = vec![];
    for _ in 0..runs {
        times.push(classify()?.0);
    }
    times.sort_by(f64::total_cmp);
    let (name, load, steady) = (&adapter.info().name, load.as_secs_f64() * 1e3, times[runs / 2]);
    let memory = peak_memory().map_or("?".into(), |mib| format!("{mib:.0}"));
    println!("{name:<40} {load:>9.0} {first:>10.1} {steady:>11.1} {memory:>12}");
    Ok(())
}

/// The largest resident size of this process so far, in MiB, where the system tells (Linux).
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
