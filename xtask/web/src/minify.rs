//! Scripts without comments, white space and long names: whoever reads them has the sources, and every visit fetches them.

use std::path::Path;

use anyhow::Result;
use xtask::step::run;

use crate::{npm, site};

/// Every script by itself: they are fetched one by one, by the names that they have.
const OPTIONS: [&str; 4] = ["--minify", "--target=es2023", "--log-level=warning", "--allow-overwrite"];

/// Minifies the scripts of a site in place, but for the examples, which are there to be read.
pub fn minify(site: &Path) -> Result<()> {
    let scripts = site::files(site)?.into_iter().filter(|file| is_minified(file)).map(|file| site.join(file));
    let mut esbuild = npm::program("esbuild", &OPTIONS)?;
    for (option, folder) in [("--outbase", site), ("--outdir", site)] {
        esbuild.arg(format!("{option}={}", folder.display()));
    }
    run(esbuild.args(scripts))
}

fn is_minified(file: &str) -> bool {
    file.ends_with(".js") && !file.starts_with("examples/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_stay_as_they_are() {
        assert!(["doconv.js", "app/main.js"].into_iter().all(is_minified));
        assert!(!["examples/image.js", "doconv.d.ts", "index.html"].into_iter().any(is_minified));
    }
}
