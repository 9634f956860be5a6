//! A Python of the repository's own, with what the tests compare with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::{Package, advice, install};
use crate::step::{command, run, succeeds};
use crate::{root, target};

const PYTHON: Package = Package {
    what: "Python 3.11 or newer with venv, for ONNX's checker and ONNX Runtime",
    debian: "python3-venv",
    elsewhere: "Fedora: python3; Arch: python; or name the reason to go without it in DOCONV_SKIP_ONNX",
};

/// What is installed, with versions.
const REQUIREMENTS: &str = "tests/conformance/requirements.txt";

/// The interpreter, after everything that the requirements name is installed.
pub fn interpreter() -> Result<PathBuf> {
    let folder = target().join("python");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted =
        fs::read_to_string(root().join(REQUIREMENTS)).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let stamp = folder.join("installed.txt");
    if succeeds(&mut command(&python, &["--version"])) && fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    make(&folder)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS];
    run(command(&python, &pip).stdout(std::io::stderr())).context(
        "the Python packages of the ONNX checks cannot be installed, maybe because PyPI cannot be reached; to test without \
         these checks, set DOCONV_SKIP_ONNX to the reason",
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// Makes the environment anew.
fn make(folder: &Path) -> Result<()> {
    if !is_suitable() {
        install(&[&PYTHON])?;
        if !is_suitable() {
            bail!("{}", advice(&[&PYTHON]));
        }
    }
    run(command("python3", &["-m", "venv", "--clear"]).arg(folder).stdout(std::io::stderr()))
}

/// Whether the system's Python is new enough, and can make environments.
fn is_suitable() -> bool {
    let check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    succeeds(&mut command("python3", &["-c", check]))
}
