//! Tests of the page: its JavaScript's types, its npm package, and its behaviour in a browser.

use std::thread;

use anyhow::Result;
use xtask::step::{cargo, run as finish, step};

use crate::server::Server;
use crate::{build_page, npm, pack, programs, site};

/// Pages and workers have different globals, so they are checked apart.
const PROJECTS: [&str; 2] = ["tsconfig.json", "tsconfig.worker.json"];

/// Builds the page as it is published, and tests it.
pub fn run() -> Result<()> {
    build_page(true)?;
    for project in PROJECTS {
        step(&format!("tsc, {project}"), || finish(&mut npm::program("tsc", &["--project", project])?))?;
    }
    step("npm pack", pack::check)?;
    // As the other tests build it: then nothing is built anew.
    step("cargo build, the program", || finish(&mut cargo(&["build", "--workspace", "--test", "cli"])))?;
    let server = Server::bind(0)?;
    let url = server.url();
    thread::spawn(move || server.run(&site::folder()));
    step("the page in Chromium", || browse(&url))
}

fn browse(url: &str) -> Result<()> {
    let program = xtask::target().join(format!("debug/doconv{}", std::env::consts::EXE_SUFFIX));
    let mut tests = npm::program("playwright", &["test"])?;
    tests.env("DOCONV_PAGE", url).env("DOCONV_BIN", program).env("CHROMIUM", programs::chromium()?);
    finish(&mut tests)
}
