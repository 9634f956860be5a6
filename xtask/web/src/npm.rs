//! Programs from npm, as `web/package-lock.json` has them.

use std::process::Command;

use anyhow::{Context, Result};
use xtask::step::{command, run, step};

use crate::{programs, web};

/// A copy of the lock file that `node_modules` was made from: times of files say little after a checkout.
const STAMP: &str = "node_modules/.installed-lock.json";

/// Installs them where they are missing or others.
pub fn install() -> Result<()> {
    let lock = web().join("package-lock.json");
    let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = web().join(STAMP);
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("npm ci", || {
        // The browser is the system's own.
        let mut install = command(programs::npm()?, &["ci"]);
        install.current_dir(web()).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").stdout(std::io::stderr());
        run(&mut install)?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
    })
}

/// One of the installed programs, in `web/`, with what it prints on stderr.
pub fn program(name: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = command(programs::npm()?, &["exec", "--offline", "--", name]);
    command.args(arguments).current_dir(web()).stdout(std::io::stderr());
    Ok(command)
}
