//! The one test command.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::environment::{self, REMOVED};
use crate::step::{cargo, command, run as finish, step};
use crate::toolchain::WASM;
use crate::{onnx, package, root, setup, shader_stats, target, web};

/// Sets up, then checks and tests everything, and stops at the first failure.
pub fn run(fast: bool) -> Result<()> {
    let start = Instant::now();
    setup::run()?;
    check("cargo fmt --all --check", &["fmt", "--all", "--check"])?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    check("cargo clippy, native", &lints)?;
    let lints = ["clippy", "--package", "doconv", "--lib", "--no-default-features"];
    check("cargo clippy, wasm32", &[&lints[..], &["--target", WASM, "--", "-D", "warnings"]].concat())?;
    for features in ["web,web-onnx", "web-teach"] {
        let lints = [&lints[..], &["--features", features, "--target", WASM, "--", "-D", "warnings"]].concat();
        check(&format!("cargo clippy, wasm32, {features}"), &lints)?;
    }
    step("cargo doc", || finish(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")))?;
    tests()?;
    shader_stats::stats(&[])?;
    onnx::run()?;
    examples()?;
    if !fast {
        web::test()?;
        if root().join("fuzz/Cargo.toml").is_file() {
            step("cargo check, fuzz targets", fuzz_targets)?;
        }
        step("cargo package", package::check)?;
    }
    eprintln!("==> all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn check(title: &str, arguments: &[&str]) -> Result<()> {
    step(title, || finish(&mut cargo(arguments)))
}

/// Unit, integration and documentation tests, with every adapter visible; builds the examples too.
fn tests() -> Result<()> {
    step("cargo test", || finish(with_adapters(&mut cargo(&["test", "--workspace"]))?))
}

/// Runs every example with its default arguments.
fn examples() -> Result<()> {
    // Of the whole workspace, as in the other tests: then nothing is built anew.
    step("cargo build, examples", || finish(&mut cargo(&["build", "--quiet", "--workspace", "--examples"])))?;
    for name in example_names()? {
        let program = target().join(format!("debug/examples/{name}{}", std::env::consts::EXE_SUFFIX));
        step(&format!("example {name}"), || finish(with_adapters(&mut command(program, &[]))?))?;
    }
    Ok(())
}

/// Checks without libFuzzer: nothing is linked, so it need not be there, nor a C++ compiler to build it.
fn fuzz_targets() -> Result<()> {
    let mut check = cargo(&["check", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz"]);
    finish(check.env("CUSTOM_LIBFUZZER_PATH", root().join("target/fuzz/libfuzzer.a")))
}

/// A command that sees every adapter.
pub fn with_adapters(command: &mut Command) -> Result<&mut Command> {
    command.envs(environment::variables()?);
    for name in REMOVED {
        command.env_remove(name);
    }
    Ok(command)
}

/// `examples/NAME.rs` and `examples/NAME/main.rs`, by name.
fn example_names() -> Result<Vec<String>> {
    let folder = root().join("examples");
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut names = vec![];
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.extend(example_name(&entry?.path()));
    }
    names.sort();
    Ok(names)
}

fn example_name(path: &Path) -> Option<String> {
    let is_example = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
    is_example.then(|| path.file_stem().map(|name| name.to_string_lossy().into_owned())).flatten()
}
