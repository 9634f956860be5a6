//! Programs of the system that the page's build and tests need.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xtask::packages::{Package, advice, install};

const NPM: Package = Package {
    what: "npm, which installs wasm-opt, esbuild, TypeScript and Playwright",
    debian: "npm",
    elsewhere: "Fedora: nodejs-npm; Arch: npm; others: https://nodejs.org",
};

const CHROMIUM: Package = Package {
    what: "Chromium, in which the page is tested",
    debian: "chromium",
    elsewhere: "Fedora, Arch: chromium; or name a browser in CHROMIUM",
};

/// npm, with the Node.js that it depends on.
pub fn npm() -> Result<PathBuf> {
    find_or_install(&["npm", "npm.cmd"], &NPM)
}

/// The browser that the variable names, or the system's.
pub fn chromium() -> Result<PathBuf> {
    match std::env::var_os("CHROMIUM") {
        Some(browser) => Ok(browser.into()),
        None => find_or_install(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"], &CHROMIUM),
    }
}

fn find_or_install(names: &[&str], package: &Package) -> Result<PathBuf> {
    if let Some(program) = find(names) {
        return Ok(program);
    }
    install(&[package])?;
    let Some(program) = find(names) else { bail!("{}", advice(&[package])) };
    Ok(program)
}

/// The first of these programs on the PATH.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.find(|file| file.is_file())
}
