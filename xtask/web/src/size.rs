//! How much a browser has to fetch.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::site;

/// What WebAssembly and JavaScript of a visit may weigh, gzipped; without what reads ONNX files and what teaches, which few
/// visits need.
const CODE: usize = 600_000;

/// What a model may weigh, as it is.
const MODEL: usize = 10_000_000;

/// Bytes of a file, as it is and gzipped.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    raw: usize,
    gzipped: usize,
}

impl Size {
    fn of(bytes: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(vec![], Compression::best());
        let gzipped = encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte");
        Self { raw: bytes.len(), gzipped: gzipped.len() }
    }

    fn and(self, other: Self) -> Self {
        Self { raw: self.raw + other.raw, gzipped: self.gzipped + other.gzipped }
    }
}

/// Prints the sizes; with `strict`, too much is an error.
pub fn report(strict: bool) -> Result<()> {
    let folder = site::folder();
    let files = site::files(&folder)?;
    let mut code = Size { raw: 0, gzipped: 0 };
    for file in files.iter().filter(|file| is_code(file)) {
        let size = Size::of(&read(&folder, file)?);
        print(file, size);
        if !is_fetched_later(file) {
            code = code.and(size);
        }
    }
    print("what every visit fetches", code);
    if strict && code.gzipped > CODE {
        bail!("WebAssembly and JavaScript have {} bytes gzipped, {CODE} are allowed", code.gzipped);
    }
    files.iter().filter(|file| file.ends_with(".safetensors")).try_for_each(|file| model(&folder, file, strict))
}

/// Everything that the page may load, by ending.
fn is_code(file: &str) -> bool {
    [".wasm", ".js", ".mjs"].iter().any(|end| file.ends_with(end)) && !file.starts_with("examples/")
}

/// What is fetched when an ONNX file comes, or when somebody teaches.
fn is_fetched_later(file: &str) -> bool {
    ["doconv_onnx", "doconv_teach", "teach/"].iter().any(|start| file.starts_with(start))
}

fn model(folder: &Path, file: &str, strict: bool) -> Result<()> {
    let bytes = read(folder, file)?.len();
    eprintln!("    {file:46} {:9.1} kB", kilobytes(bytes));
    if strict && bytes > MODEL {
        bail!("{file} has {bytes} bytes, {MODEL} are allowed");
    }
    Ok(())
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>> {
    std::fs::read(folder.join(file)).with_context(|| format!("cannot read {file}"))
}

fn print(title: &str, size: Size) {
    eprintln!("    {title:46} {:9.1} kB, gzipped {:7.1} kB", kilobytes(size.raw), kilobytes(size.gzipped));
}

fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up() {
        let size = Size::of(&[0; 10_000]);
        assert_eq!(size.raw, 10_000);
        assert!(size.gzipped < 100, "{size:?}");
        assert_eq!(size.and(size), Size { raw: 20_000, gzipped: 2 * size.gzipped });
    }

    #[test]
    fn code_is_what_the_page_loads() {
        assert!(["doconv.js", "doconv_bg.wasm", "parts/a.mjs"].into_iter().all(is_code));
        assert!(!["doconv.d.ts", "examples/a.js", "index.html"].into_iter().any(is_code));
        assert!(
            ["doconv_onnx.js", "doconv_onnx_bg.wasm", "doconv_teach.js", "teach/view.js"]
                .into_iter()
                .all(is_fetched_later)
        );
        assert!(!["doconv.js", "doconv_bg.wasm", "onnx.js"].into_iter().any(is_fetched_later));
    }
}
