//! Tasks of this repository, run as `cargo xtask COMMAND`.

mod environment;
mod libraries;
mod onnx;
mod package;
mod packages;
mod python;
mod setup;
mod step;
mod test;
mod toolchain;
mod vulkan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need and is not there: software Vulkan adapters, the wasm32 target.
    Setup,
    /// Set up, then check and test everything.
    Test {
        /// Leave out the documentation, the fuzz targets and the package.
        #[arg(long)]
        fast: bool,
    },
    /// Let ONNX's checker and ONNX Runtime judge exported networks, and run ONNX's own tests.
    Onnx,
    /// Print the environment of the tests as `export` lines, for `eval "$(cargo xtask env)"`.
    Env,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup => setup::run(),
        Task::Test { fast } => test::run(fast),
        Task::Onnx => setup::run().and_then(|()| onnx::run()),
        Task::Env => environment::print(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the workspace").to_path_buf()
}

/// Where cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}
