//! Tasks of this repository, run as `cargo xtask COMMAND`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{environment, hardware, onnx, setup, shader_stats, test, web};

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
        /// Leave out the page, the fuzz targets and the package.
        #[arg(long)]
        fast: bool,
    },
    /// Let ONNX's checker and ONNX Runtime judge exported networks, and run ONNX's own tests.
    Onnx,
    /// Compile every shader with the compiler of AMD's GPUs, which need not be there, and compare registers, spills and waves with
    /// the record; see `cargo xtask shader-stats --help`.
    #[command(disable_help_flag = true)]
    ShaderStats {
        /// `--write`, `--all`, `--json`, `--filter`, `--assembly`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Print the environment of the tests as `export` lines, for `eval "$(cargo xtask env)"`.
    Env,
    /// Pack program, test suites and a script, below 64 MiB, for a machine with nothing but a GPU driver.
    Hardware {
        /// The archive to write [default: target/doconv-hardware.tar.gz].
        #[arg(long, value_name = "FILE.tar.gz")]
        out: Option<PathBuf>,
    },
    /// Build the web page into `web/dist/`, and serve it; see `cargo xtask web --help`.
    #[command(disable_help_flag = true)]
    Web {
        /// `--release`, `--serve`, `--port`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Build the web page, check its JavaScript and its npm package, and test it in Chromium.
    WebTest,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup => setup::run(),
        Task::Test { fast } => test::run(fast),
        Task::Onnx => setup::run().and_then(|()| onnx::run()),
        Task::ShaderStats { arguments } => shader_stats::stats(&arguments),
        Task::Env => environment::print(),
        Task::Hardware { out } => hardware::pack(out),
        Task::Web { arguments } => web::build(&arguments),
        Task::WebTest => setup::run().and_then(|()| web::test()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
