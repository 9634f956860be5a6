//! The web page is built by a program of its own, `xtask/web`, so that the other tasks compile quickly.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::step::{cargo, command, run, step};
use crate::target;
use crate::test::with_adapters;

/// `cargo xtask web`.
pub fn build(arguments: &[OsString]) -> Result<()> {
    hand_over(program()?.arg("web").args(arguments))
}

/// `cargo xtask web-test`.
pub fn test() -> Result<()> {
    run(with_adapters(program()?.arg("web-test"))?)
}

/// The program, compiled already, so that waiting for that is announced.
fn program() -> Result<Command> {
    step("cargo build, the page's tools", || {
        run(&mut cargo(&["build", "--quiet", "--workspace", "--bin", "xtask-web"]))
    })?;
    let program = target().join(format!("debug/xtask-web{}", std::env::consts::EXE_SUFFIX));
    Ok(command(program, &[]))
}

/// Takes this process's place, so that ending it ends the server.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> Result<()> {
    run(command)
}
