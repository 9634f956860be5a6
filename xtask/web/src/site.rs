//! Puts together what a web server serves: `web/dist/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::{bindings, minify, precache, web};

/// Folders that are served as they are, and where. The model and the photographs bring their licences with them.
const FOLDERS: [(&str, &str); 5] =
    [("web/page", ""), ("web/package", ""), ("web/examples", "examples"), ("models", "models"), ("photos", "photos")];

/// The licences of the code.
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// What is served.
pub fn folder() -> PathBuf {
    web().join("dist")
}

/// Makes it anew beside the last one, which stays until this one is complete.
pub fn assemble(bindings: &Path, release: bool) -> Result<()> {
    let [new, old] = ["dist.new", "dist.old"].map(|name| web().join(name));
    remove(&new)?;
    remove(&old)?;
    fill(&new, bindings)?;
    if release {
        minify::minify(&new)?;
    }
    precache::write(&new)?;
    if folder().exists() {
        fs::rename(folder(), &old).with_context(|| format!("cannot move {}", folder().display()))?;
    }
    fs::rename(&new, folder()).with_context(|| format!("cannot move {}", new.display()))?;
    remove(&old)
}

fn fill(site: &Path, bindings: &Path) -> Result<()> {
    let root = xtask::root();
    for (from, to) in FOLDERS {
        copy_folder(&root.join(from), &site.join(to))?;
    }
    for name in bindings::MODULES.iter().flat_map(bindings::Module::files) {
        copy(&bindings.join(&name), &site.join(&name))?;
    }
    for name in LICENCES {
        copy(&root.join(name), &site.join(name))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for name in files(from)? {
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        bail!("{} would replace another file of the page: rename it", from.display());
    }
    let parent = to.parent().expect("a file lies in a folder");
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The files below a folder, as addresses relative to it, in order.
pub fn files(folder: &Path) -> Result<Vec<String>> {
    let mut files = vec![];
    for entry in WalkDir::new(folder) {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(folder).expect("an entry lies in its folder");
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            files.push(parts.join("/"));
        }
    }
    files.sort();
    Ok(files)
}
