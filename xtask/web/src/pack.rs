//! Whether the npm package holds what it should, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::step::{cargo, command, output_of};

use crate::{programs, site, web};

/// The files of the package, but for the examples.
const FILES: [&str; 17] = [
    "README.md",
    "dist/LICENSE-APACHE",
    "dist/LICENSE-MIT",
    "dist/doconv.d.ts",
    "dist/doconv.js",
    "dist/doconv_bg.wasm",
    "dist/doconv_onnx.d.ts",
    "dist/doconv_onnx.js",
    "dist/doconv_onnx_bg.wasm",
    "dist/doconv_teach.d.ts",
    "dist/doconv_teach.js",
    "dist/doconv_teach_bg.wasm",
    "dist/helper.js",
    "dist/onnx.js",
    "dist/threads.js",
    "dist/tuning.js",
    "package.json",
];

/// Lets npm say what it would pack.
pub fn check() -> Result<()> {
    let mut pack = command(programs::npm()?, &["pack", "--dry-run", "--json"]);
    let report = output_of(pack.current_dir(web())).context("`npm pack` fails; run it in web/ to see why")?;
    let package: Value = serde_json::from_str(&report).context("cannot read what `npm pack --json` prints")?;
    let (version, files) = read(&package).context("`npm pack --json` has changed its format")?;
    check_files(&files, &wanted()?)?;
    check_version(version, &crate_version()?)?;
    eprintln!("    {} files, version {version}", files.len());
    Ok(())
}

/// Version and files in npm's report, a list with one package.
fn read(report: &Value) -> Option<(&str, BTreeSet<String>)> {
    let package = report.get(0)?;
    let files = package.get("files")?.as_array()?;
    let paths = files.iter().map(|file| Some(file.get("path")?.as_str()?.to_string())).collect::<Option<_>>()?;
    Some((package.get("version")?.as_str()?, paths))
}

fn wanted() -> Result<BTreeSet<String>> {
    let examples = site::files(&web().join("examples"))?;
    let examples = examples.into_iter().map(|file| format!("dist/examples/{file}"));
    Ok(FILES.map(String::from).into_iter().chain(examples).collect())
}

fn check_files(packed: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Result<()> {
    if let Some(file) = wanted.difference(packed).next() {
        bail!("the npm package lacks {file}: see `files` in web/package.json");
    }
    if let Some(file) = packed.difference(wanted).next() {
        bail!("the npm package holds {file}, which nobody needs: see `files` in web/package.json");
    }
    Ok(())
}

/// The crate and the package are published together.
fn check_version(package: &str, krate: &str) -> Result<()> {
    if package != krate {
        bail!("web/package.json has version {package}, Cargo.toml {krate}");
    }
    Ok(())
}

fn crate_version() -> Result<String> {
    let id = output_of(&mut cargo(&["pkgid", "--package", "doconv"])).context("`cargo pkgid` fails")?;
    Ok(id.trim().rsplit(['#', '@']).next().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[&str]) -> BTreeSet<String> {
        files.iter().map(|file| file.to_string()).collect()
    }

    #[test]
    fn reports_are_read() {
        let report =
            serde_json::json!([{ "version": "1.2.3", "files": [{ "path": "b", "size": 1 }, { "path": "a" }] }]);
        assert_eq!(read(&report), Some(("1.2.3", set(&["a", "b"]))));
        assert_eq!(read(&serde_json::json!([])), None);
        assert_eq!(read(&serde_json::json!([{ "version": "1", "files": [{}] }])), None);
    }

    #[test]
    fn lists_are_checked_both_ways() {
        assert!(check_files(&set(&["a", "b"]), &set(&["a", "b"])).is_ok());
        let error = check_files(&set(&["a"]), &set(&["a", "b"])).unwrap_err().to_string();
        assert!(error.contains("lacks b"), "{error}");
        let error = check_files(&set(&["a", "b"]), &set(&["a"])).unwrap_err().to_string();
        assert!(error.contains("holds b"), "{error}");
    }

    #[test]
    fn versions_are_compared() {
        assert!(check_version("0.1.0", "0.1.0").is_ok());
        assert!(check_version("0.1.0", "0.2.0").is_err());
    }
}
