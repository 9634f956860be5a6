//! Whether the crate could be published.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::step::{cargo, output_of, run};
use crate::target;

/// crates.io's limit.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// What the package must hold.
const NEEDED: [&str; 7] =
    ["Cargo.toml", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs", "src/main.rs"];

/// Folders that are of no use to those who depend on the crate.
const UNWANTED: [&str; 9] =
    [".cargo/", ".ci/", "artifacts/", "benches/", "benchmarks/", "fuzz/", "tests/", "web/", "xtask/"];

/// Packs the crate without building it, and looks at what is in it.
pub fn check() -> Result<()> {
    let listed = ["package", "--package", "doconv", "--list", "--allow-dirty"];
    let list = output_of(&mut cargo(&listed)).context("`cargo package --list` fails; run it to see why")?;
    let files: Vec<String> = list.lines().map(|line| line.replace('\\', "/")).collect();
    check_files(&files)?;

    run(&mut cargo(&["package", "--package", "doconv", "--no-verify", "--allow-dirty"]))?;
    let archive = archive()?;
    let bytes = std::fs::metadata(&archive).with_context(|| format!("cannot read {}", archive.display()))?.len();
    if bytes > MAX_BYTES {
        bail!("{} has {bytes} bytes, crates.io takes {MAX_BYTES}", archive.display());
    }
    eprintln!("    {} files, {:.2} MiB of 10", files.len(), bytes as f64 / f64::from(1 << 20));
    Ok(())
}

fn check_files(files: &[String]) -> Result<()> {
    if let Some(needed) = NEEDED.iter().find(|needed| !files.iter().any(|file| file == *needed)) {
        bail!("the package lacks {needed}");
    }
    if let Some(file) = files.iter().find(|file| UNWANTED.iter().any(|folder| file.starts_with(folder))) {
        bail!("the package holds {file}: add it to `exclude` in Cargo.toml");
    }
    Ok(())
}

/// Where cargo puts the package.
fn archive() -> Result<PathBuf> {
    let id = output_of(&mut cargo(&["pkgid", "--package", "doconv"])).context("`cargo pkgid` fails")?;
    let version = id.trim().rsplit(['#', '@']).next().unwrap_or_default();
    Ok(target().join(format!("package/doconv-{version}.crate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_checked_both_ways() {
        let needed: Vec<String> = NEEDED.map(String::from).into();
        assert!(check_files(&needed).is_ok());
        assert!(check_files(&needed[1..]).unwrap_err().to_string().contains("Cargo.toml"));
        let with_more = [needed, vec!["xtask/src/main.rs".into()]].concat();
        assert!(check_files(&with_more).unwrap_err().to_string().contains("xtask/src/main.rs"));
    }
}
