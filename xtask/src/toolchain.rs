//! What the tests need of the Rust toolchain.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::step::{cargo, command, output_of, run, succeeds};

/// The target of the browser build.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Adds clippy, rustfmt and the wasm32 target where they are missing.
pub fn prepare() -> Result<()> {
    for (component, subcommand) in [("clippy", "clippy"), ("rustfmt", "fmt")] {
        if !succeeds(&mut cargo(&[subcommand, "--version"])) {
            add("component", component)?;
        }
    }
    prepare_wasm()
}

/// Adds the wasm32 target if it is missing.
pub fn prepare_wasm() -> Result<()> {
    if !has_wasm() {
        add("target", WASM)?;
        if !has_wasm() {
            bail!("`rustup target add {WASM}` did not help: `rustc` is not the one that rustup manages");
        }
    }
    Ok(())
}

fn add(kind: &str, name: &str) -> Result<()> {
    if !succeeds(&mut command("rustup", &["--version"])) {
        bail!("the Rust toolchain lacks the {kind} {name}, and there is no rustup to add it: see https://rustup.rs");
    }
    eprintln!("    adding the {kind} {name}");
    run(command("rustup", &[kind, "add", name]).stdout(std::io::stderr()))
}

fn has_wasm() -> bool {
    let folder = output_of(&mut command("rustc", &["--print", "target-libdir", "--target", WASM]));
    let Some(folder) = folder.map(|folder| PathBuf::from(folder.trim())) else { return false };
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}
