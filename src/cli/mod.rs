//! The command line: results go to stdout, everything else to stderr.
//!
//! Exit codes: 0 done, 1 an error in one line, 2 wrong usage, 130 ended by Ctrl-C, 143 by SIGTERM.

mod adapter;
mod adapters;
mod arrays;
mod bench;
mod cache;
mod classify;
mod expand;
mod fold;
mod info;
mod inputs;
mod interrupt;
mod layer;
mod mode;
mod model;
mod npy;
mod onnx;
mod output;
mod precision;
mod progress;
mod run;
mod table;
mod train;
mod verify;

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use interrupt::Interrupted;

/// DO-Conv image classifiers on GPUs (WebGPU) and CPUs.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    /// Log more to stderr: -v what doconv does, -vv details and the GPU library, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::Arguments),
    Run(run::Arguments),
    Layer(layer::Arguments),
    Info(info::Arguments),
    Adapters(adapters::Arguments),
    Fold(fold::Arguments),
    Expand(expand::Arguments),
    Train(train::Arguments),
    Bench(bench::Arguments),
    Verify(verify::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  doconv classify photo.jpg            what is in the image
  doconv adapters                      what can compute here
  doconv info                          the layers of the bundled ImageNet network
  doconv fold trained.safetensors small.safetensors --dtype f16
                                       a trained DO-Conv network as an ordinary one, half the size
  doconv fold trained.safetensors network.onnx
                                       the same for other runtimes
  doconv train --arch resnet20 --data photos/ --out mine.safetensors
                                       a classifier of your own images: photos/train/<class>/*.jpg
  doconv bench                         how fast this machine is, every result checked
  doconv verify                        whether every kernel computes what it should on this GPU

Results go to stdout, everything else to stderr. Exit status: 0 done, 1 an error, 2 wrong usage,
130 ended by Ctrl-C, 143 by SIGTERM.
`doconv COMMAND --help` shows options and examples of a command.";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    silence_drivers();
    start_logging(arguments.verbose);
    let result = match arguments.command {
        Command::Classify(arguments) => classify::main(arguments),
        Command::Run(arguments) => run::main(arguments),
        Command::Layer(arguments) => layer::main(arguments),
        Command::Info(arguments) => info::main(arguments),
        Command::Adapters(arguments) => adapters::main(arguments),
        Command::Fold(arguments) => fold::main(arguments),
        Command::Expand(arguments) => expand::main(arguments),
        Command::Train(arguments) => train::main(arguments),
        Command::Bench(arguments) => bench::main(arguments),
        Command::Verify(arguments) => verify::main(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough, as in `doconv … | head`.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => {
                output::note(&interrupted.to_string());
                ExitCode::from(interrupted.status)
            }
            None => {
                output::error(&error);
                ExitCode::FAILURE
            }
        },
    }
}

/// Only this crate's warnings are shown unless more is asked for: those of the GPU library and of drivers say nothing
/// that a user could act on. `RUST_LOG` has the last word.
fn start_logging(verbose: u8) {
    use log::LevelFilter::{Debug, Info, Off, Trace, Warn};
    let (others, own) = match verbose {
        0 => (Off, Warn),
        1 => (Warn, Info),
        2 => (Info, Debug),
        _ => (Trace, Trace),
    };
    env_logger::Builder::new().filter_level(others).filter_module("doconv", own).parse_env("RUST_LOG").init();
}

/// Mesa's Vulkan layer that reorders adapters connects to a Wayland display for that, and where there is none prints
/// `error: XDG_RUNTIME_DIR is invalid`. The order is decided here anyway, so the layer stays off.
fn silence_drivers() {
    const SWITCH: &str = "NODEVICE_SELECT";
    if std::env::var_os(SWITCH).is_none() {
        // SAFETY: the process has no other thread yet.
        unsafe { std::env::set_var(SWITCH, "1") };
    }
}
