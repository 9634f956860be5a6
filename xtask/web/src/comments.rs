//! Comments of scripts: whoever reads them has the sources, and every visit would fetch them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use xtask::step::run;

use crate::{npm, site};

/// The compiler's part: nothing is checked and nothing changed but comments and white space.
const OPTIONS: [&str; 11] = [
    "--ignoreConfig",
    "--allowJs",
    "--noCheck",
    "--noResolve",
    "--removeComments",
    "--target",
    "es2023",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
];

/// Takes the comments out of the scripts of a site, but for the examples, which are there to be read.
pub fn remove(site: &Path) -> Result<()> {
    let out = xtask::target().join("scripts");
    let scripts: Vec<String> = site::files(site)?.into_iter().filter(|file| is_compiled(file)).collect();
    let mut tsc = npm::program("tsc", &OPTIONS)?;
    tsc.arg("--rootDir").arg(site).arg("--outDir").arg(&out).args(scripts.iter().map(|file| site.join(file)));
    run(&mut tsc)?;
    for file in &scripts {
        fs::copy(out.join(file), site.join(file)).with_context(|| format!("tsc has not written {file}"))?;
    }
    Ok(())
}

fn is_compiled(file: &str) -> bool {
    file.ends_with(".js") && !file.starts_with("examples/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_comments() {
        assert!(["doconv.js", "app/main.js"].into_iter().all(is_compiled));
        assert!(!["examples/image.js", "doconv.d.ts", "index.html"].into_iter().any(is_compiled));
    }
}
