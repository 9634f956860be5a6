//! Checks of what is written as ONNX and read from it, with the software of others.

use std::path::Path;

use anyhow::{Result, bail};

use crate::step::{cargo, command, run as finish, step};
use crate::test::with_adapters;
use crate::{python, target};

/// Names the reason for which these checks are left out.
const SKIP: &str = "DOCONV_SKIP_ONNX";

const BUNDLED: &str = "models/efficientnet-lite0-doconv.safetensors";

/// Exported networks in ONNX Runtime, then ONNX's own tests here.
pub fn run() -> Result<()> {
    if let Some(reason) = std::env::var_os(SKIP) {
        if reason.is_empty() {
            bail!("{SKIP} is set, but does not say why");
        }
        eprintln!("==> ONNX Runtime and ONNX's own tests: skipped, {}", reason.to_string_lossy());
        return Ok(());
    }
    let python = step("set-up: Python with ONNX Runtime", python::interpreter)?;
    step("ONNX Runtime on exported networks", || exported(&python))?;
    step("ONNX's own tests", || backend(&python))
}

/// The adapters on which this is checked: those of the tests, as far as they are known by name.
fn adapters() -> &'static [&'static str] {
    if cfg!(target_os = "linux") { &["cpu", "llvmpipe"] } else { &["cpu"] }
}

fn exported(python: &Path) -> Result<()> {
    // Of the whole workspace, as in the other tests: then nothing is built anew.
    finish(with_adapters(&mut cargo(&["test", "--quiet", "--workspace", "--test", "onnx_export"]))?)?;
    let mut check = command(python, &["tests/conformance/onnx_export.py"]);
    check.arg(program()).arg(target().join("tmp/onnx")).args(["--bundled", BUNDLED]);
    for adapter in adapters() {
        check.args(["--adapter", adapter]);
    }
    finish(with_adapters(&mut check)?)
}

fn backend(python: &Path) -> Result<()> {
    let mut check = command(python, &["tests/conformance/onnx_backend.py"]);
    check.arg(program()).arg("--json").arg(target().join("onnx-backend.json"));
    if let Some(adapter) = adapters().last() {
        check.args(["--adapter", adapter]);
    }
    finish(with_adapters(&mut check)?)
}

/// The program as the tests have built it.
fn program() -> std::path::PathBuf {
    target().join(format!("debug/doconv{}", std::env::consts::EXE_SUFFIX))
}
