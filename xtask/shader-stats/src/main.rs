//! Registers, spills and inner loops of every shader on real GPUs, from their own compiler, without a GPU: run as
//! `cargo xtask shader-stats`.
//!
//! Mesa's RADV has a null device: with `RADV_FORCE_FAMILY` it enumerates an AMD GPU that is not there, and compiles pipelines
//! for it as for a real one. `VK_KHR_pipeline_executable_properties` then gives registers, spills and assembly. Nothing can be
//! run or timed on it.

mod assembly;
mod compile;
mod device;
mod families;
mod layers;
mod planned;
mod record;
mod statistics;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use families::Family;

#[derive(Parser)]
#[command(name = "cargo xtask shader-stats", bin_name = "cargo xtask shader-stats")]
struct Arguments {
    /// Update `benchmarks/shader-stats.json`, the record that other runs are compared with.
    #[arg(long)]
    write: bool,
    /// Print a table of all shaders.
    #[arg(long)]
    all: bool,
    /// Print all statistics as JSON, and nothing else.
    #[arg(long, conflicts_with = "all")]
    json: bool,
    /// Only shaders whose name contains this text.
    #[arg(long, default_value = "", conflicts_with = "write")]
    filter: String,
    /// Write the WGSL of each shader, and the assembly that each family makes of it, into this folder.
    #[arg(long)]
    assembly: Option<PathBuf>,
    /// The process of one family, which the driver reads when it is loaded: compiles the shaders of a file.
    #[arg(long, hide = true, requires = "shaders")]
    family: Option<Family>,
    #[arg(long, hide = true)]
    shaders: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let (Some(family), Some(shaders)) = (arguments.family, &arguments.shaders) {
        return families::measure(family, shaders, arguments.assembly.as_deref());
    }
    if let Some(reason) = families::reason_to_skip()? {
        eprintln!("==> shader statistics: skipped, {reason}");
        return Ok(());
    }
    let shaders = compile::to_spirv(planned::shaders(&arguments.filter)?)?;
    if let Some(folder) = &arguments.assembly {
        compile::write_wgsl(&shaders, folder)?;
    }
    let reports = families::measure_all(&shaders, arguments.assembly.as_deref())?;
    eprintln!("    {} shaders for {} GPUs", shaders.len(), reports.len());
    if arguments.json {
        println!("{}", record::to_json(&reports)?);
        return Ok(());
    }
    if arguments.all {
        print!("{}", table::of(&reports));
    }
    if arguments.write { record::write(&reports) } else { record::compare(&reports, !arguments.filter.is_empty()) }
}
