//! An archive for a machine with nothing but a GPU driver: program, test suites, made-up data, and a script that runs all of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step::{cargo, command, output_of, run, step};
use crate::target;

/// What the archive may have, in bytes.
const MOST_BYTES: u64 = 64 << 20;
/// The name of the folder in it.
const FOLDER: &str = "doconv-hardware";
/// Test suites that need a GPU, the most telling first: what does not fit any more is left out from behind.
const SUITES: [&str; 5] = ["operators", "adapters", "winograd", "precision", "self_check"];
/// Images that the suites look at.
const PHOTOS: [&str; 2] = ["photos/chelsea.png", "photos/coffee.png"];

/// Builds everything and packs it.
///
/// # Errors
/// Where building or packing fails, or the program by itself is too large.
pub fn pack(out: Option<PathBuf>) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the archive is made on Linux, for Linux");
    }
    let archive = std::path::absolute(out.unwrap_or_else(|| target().join(format!("{FOLDER}.tar.gz"))))?;
    let folder = target().join(FOLDER);
    step("building the program", || run(&mut cargo(&["build", "--release", "--bin", "doconv"])))?;
    let suites = step("building the test suites", suites)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let program = folder.join("doconv");
    for inner in ["suites", "photos", "data"] {
        let path = folder.join(inner);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    strip(&target().join("release/doconv"), &program)?;
    for (name, path) in &suites {
        strip(path, &folder.join("suites").join(name))?;
    }
    for photo in PHOTOS {
        fs::copy(crate::root().join(photo), folder.join(photo)).with_context(|| format!("cannot copy {photo}"))?;
    }
    write(&folder.join("data/data_batch_1.bin"), &images(1280))?;
    write(&folder.join("data/test_batch.bin"), &images(128))?;
    write(&folder.join("run.sh"), include_bytes!("run.sh"))?;
    make_executable(&folder.join("run.sh"))?;

    let glibc = newest_glibc(&fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?);
    let mut names: Vec<&str> = suites.iter().map(|(name, _)| name.as_str()).collect();
    let bytes = loop {
        write(&folder.join("README"), readme(&glibc, &names).as_bytes())?;
        let bytes = step("packing", || tar(&archive))?;
        if bytes <= MOST_BYTES {
            break bytes;
        }
        let Some(name) = names.pop() else { bail!("the program by itself has {bytes} bytes, packed: too many") };
        eprintln!("    {bytes} bytes are too many: without the suite {name}");
        let path = folder.join("suites").join(name);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    };
    eprintln!("    {}: {:.1} MiB of {}", archive.display(), bytes as f64 / f64::from(1 << 20), MOST_BYTES >> 20);
    Ok(())
}

/// The test programs by name.
fn suites() -> Result<Vec<(String, PathBuf)>> {
    let mut arguments = vec!["test", "--release", "--no-run", "--message-format=json-render-diagnostics"];
    for suite in SUITES {
        arguments.extend(["--test", suite]);
    }
    let mut build = cargo(&arguments);
    let output = build.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the test suites cannot be built: {}", output.status);
    }
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    let of = |name: &str| {
        let found = built.iter().find(|(other, _)| other == name).cloned();
        found.with_context(|| format!("cargo does not say where it has put the suite {name}"))
    };
    SUITES.into_iter().map(of).collect()
}

/// The programs that cargo's messages tell of, a JSON document each line.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let of = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let name = message["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
    };
    messages.lines().filter_map(of).collect()
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let text = |path: &Path| path.to_str().map(str::to_owned).with_context(|| format!("{}: no text", path.display()));
    run(&mut command("strip", &["-o", &text(to)?, &text(from)?])).context("`strip` is in Debian's package binutils")
}

/// Packs the folder, and gives the archive's bytes.
fn tar(archive: &Path) -> Result<u64> {
    let name = archive.to_str().with_context(|| format!("{}: no text", archive.display()))?;
    let parent = target();
    let parent = parent.to_str().context("the target folder's path is no text")?;
    run(&mut command("tar", &["--use-compress-program=gzip -9", "-cf", name, "-C", parent, FOLDER]))?;
    Ok(fs::metadata(archive).with_context(|| format!("cannot read {name}"))?.len())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(|| format!("{}", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

fn readme(glibc: &str, suites: &[&str]) -> String {
    let commit = output_of(&mut command("git", &["rev-parse", "--short", "HEAD"])).unwrap_or_default();
    let commit = if commit.trim().is_empty() { "unknown" } else { commit.trim() };
    let suites = if suites.is_empty() { "none".into() } else { suites.join(", ") };
    let template = include_str!("README.in");
    template.replace("{glibc}", glibc).replace("{commit}", commit).replace("{suites}", &suites)
}

/// The newest version of glibc that a program asks for: its dynamic symbols are called like `GLIBC_2.34`.
fn newest_glibc(program: &[u8]) -> String {
    const PREFIX: &[u8] = b"GLIBC_2.";
    let starts = program.windows(PREFIX.len()).enumerate().filter(|(_, window)| *window == PREFIX);
    let minor = |(at, _): (usize, &[u8])| {
        let digits = program[at + PREFIX.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.take(3).fold(None, |number: Option<u32>, digit| Some(number.unwrap_or(0) * 10 + u32::from(digit - b'0')))
    };
    starts.filter_map(minor).max().map_or_else(|| "of an unknown version".into(), |minor| format!("2.{minor}"))
}

/// Records of CIFAR-10's binary files: ten classes of stripes, which pack well.
fn images(count: usize) -> Vec<u8> {
    let mut records = vec![];
    for index in 0..count {
        let class = index % 10;
        records.push(class as u8);
        for channel in 0..3 {
            for row in 0..32 {
                for column in 0..32 {
                    let stripes = (row * (class % 4) + column * (class / 4 + 1) + index / 10 % 8) * 16;
                    records.push((stripes + 40 * channel * (class % 3)) as u8);
                }
            }
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts() {
        assert_eq!(newest_glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0"), "2.34");
        assert_eq!(newest_glibc(b"static"), "of an unknown version");
    }

    #[test]
    fn programs_are_found_among_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"doconv"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"adapters"},"executable":"/target/release/deps/adapters-1"}
not json
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), [("adapters".into(), "/target/release/deps/adapters-1".into())]);
    }

    #[test]
    fn images_are_whole_records_of_every_class() {
        let records = images(20);
        assert_eq!(records.len(), 20 * 3073);
        let classes: Vec<u8> = records.chunks(3073).map(|record| record[0]).collect();
        assert_eq!(classes[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    }

    /// The script has to run in the shell of any machine.
    #[cfg(unix)]
    #[test]
    fn the_script_is_a_shell_script() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hardware/run.sh");
        assert!(std::process::Command::new("sh").args(["-n", script]).status().unwrap().success());
        let usage = std::process::Command::new("sh").args([script, "--nonsense"]).output().unwrap();
        assert_eq!(usage.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&usage.stderr).contains("--adapter"), "{usage:?}");
    }
}
