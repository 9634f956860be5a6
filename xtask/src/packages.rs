//! Installing system packages, or saying which ones to install.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::step::{command, output_of, run, succeeds};

/// A thing that a system package provides.
pub struct Package {
    /// What it is, for people.
    pub what: &'static str,
    /// Package on Debian, and what apt installs.
    pub debian: &'static str,
    /// Where it is found elsewhere.
    pub elsewhere: &'static str,
}

/// Wait for another apt instead of failing, and print no progress bars.
const OPTIONS: [&str; 7] =
    ["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-o", "Dpkg::Use-Pty=0"];

/// Installs packages where that can be done without asking; `Err` says which ones are wanted and for what.
pub fn install(missing: &[&Package]) -> Result<()> {
    let Some(become_root) = become_root().filter(|_| succeeds(&mut command("apt-get", &["--version"]))) else {
        bail!("{}", advice(missing));
    };
    // Only package installation knows how to wait for its lock, so the lists are tried again.
    for pause_s in [5, 10, 20, 0] {
        match run(&mut apt(&become_root, &["update"])) {
            Ok(()) => break,
            Err(error) => eprintln!("    {error:#}"),
        }
        sleep(Duration::from_secs(pause_s));
    }
    // One by one: a package that this system does not have must not keep the others out.
    for package in missing {
        if let Err(error) = run(&mut apt(&become_root, &["install", "-y", "--no-install-recommends", package.debian])) {
            eprintln!("    {error:#}");
        }
    }
    Ok(())
}

/// What to put before a command so that it runs as root: nothing or sudo; `None` if it cannot be done silently.
fn become_root() -> Option<Vec<&'static str>> {
    if output_of(&mut command("id", &["-u"]))?.trim() == "0" {
        return Some(vec![]);
    }
    succeeds(&mut command("sudo", &["-n", "true"])).then(|| vec!["sudo", "-n"])
}

fn apt(become_root: &[&str], arguments: &[&str]) -> std::process::Command {
    let line = [become_root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], &OPTIONS, arguments].concat();
    let mut command = command(line[0], &line[1..]);
    command.stdout(std::io::stderr());
    command
}

/// One message with everything that is missing.
pub fn advice(missing: &[&Package]) -> String {
    let mut text = String::from("this needs what is not installed here:\n");
    for package in missing {
        text += &format!("  - {}\n", package.what);
        text += &format!("      Debian: {}; {}\n", package.debian, package.elsewhere);
    }
    let names: Vec<_> = missing.iter().map(|package| package.debian).collect();
    text + &format!("On Debian, as root: apt-get update && apt-get install --no-install-recommends {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_every_package() {
        let [a, b] = ["one", "two"].map(|debian| Package { what: "a thing", debian, elsewhere: "Fedora: three" });
        let text = advice(&[&a, &b]);
        assert!(
            text.contains("Debian: one; Fedora: three") && text.ends_with("--no-install-recommends one two"),
            "{text}"
        );
    }
}
