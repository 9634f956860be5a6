//! Builds, serves and tests the web page, run as `cargo xtask web` and `cargo xtask web-test`.

mod bindings;
mod minify;
mod npm;
mod pack;
mod precache;
mod programs;
mod server;
mod site;
mod size;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use server::Server;
use xtask::step::step;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the web page into `web/dist/`: static files, for any web server.
    Web(Build),
    /// Build the web page, check its JavaScript and its npm package, and test it in Chromium.
    WebTest,
}

#[derive(Args)]
struct Build {
    /// Make it as small and fast as it gets, and fail if it is too large. Needs npm.
    #[arg(long)]
    release: bool,
    /// Serve it on 127.0.0.1 afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,
    /// Where to serve it; 0 picks a free port.
    #[arg(long, requires = "serve", default_value_t = 8080)]
    port: u16,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Web(arguments) => build(&arguments),
        Task::WebTest => test::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(arguments: &Build) -> Result<()> {
    // First of all, so that nobody waits for a build to hear that the port is in use.
    let server = arguments.serve.then(|| Server::bind(arguments.port)).transpose()?;
    build_page(arguments.release)?;
    server.map_or(Ok(()), |server| {
        println!("{}", server.url());
        server.run(&site::folder())
    })
}

/// Builds `web/dist/`.
fn build_page(release: bool) -> Result<()> {
    step("set-up: wasm32 target", xtask::toolchain::prepare_wasm)?;
    let bindings = bindings::build(release)?;
    step("web/dist", || site::assemble(&bindings, release))?;
    size::report(release)
}

/// The folder of the page and of its npm package.
fn web() -> PathBuf {
    xtask::root().join("web")
}
