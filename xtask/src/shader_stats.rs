//! What real GPUs' compiler says of the shaders: a program of its own, `xtask/shader-stats`, because it needs the library.

use std::ffi::OsString;

use anyhow::Result;

use crate::step::{cargo, command, run, step};
use crate::target;

/// `cargo xtask shader-stats`.
pub fn stats(arguments: &[OsString]) -> Result<()> {
    // Of the whole workspace, as in the tests: then nothing is built anew.
    step("cargo build, shader statistics", || {
        run(&mut cargo(&["build", "--quiet", "--workspace", "--bin", "xtask-shader-stats"]))
    })?;
    let program = target().join(format!("debug/xtask-shader-stats{}", std::env::consts::EXE_SUFFIX));
    step("shader statistics: the shaders compiled for AMD's GPUs", || run(command(program, &[]).args(arguments)))
}
