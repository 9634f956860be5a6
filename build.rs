//! The shaders as they go into the library: without what only people read, which every visit of the page would fetch.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=shaders");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("shaders");
    strip_folder(Path::new("shaders"), &out)
}

fn strip_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            strip_folder(&path, &to)?;
        } else {
            fs::write(to, strip(&fs::read_to_string(path)?))?;
        }
    }
    Ok(())
}

/// Without comments, indentation and blank lines. What is left stays on its line: statements of templates take up whole
/// ones, and so do the declarations that bindings are read off.
fn strip(template: &str) -> String {
    let mut stripped = String::new();
    for line in without_template_comments(template).lines() {
        let code = line[..comment(line)].trim();
        if !code.is_empty() {
            stripped.push_str(code);
            stripped.push('\n');
        }
    }
    stripped
}

/// Without `{# … #}`, which may have several lines.
fn without_template_comments(template: &str) -> String {
    let mut parts = template.split("{#");
    let first = parts.next().into_iter();
    first.chain(parts.filter_map(|part| part.split_once("#}")).map(|(_, code)| code)).collect()
}

/// Where a comment begins, or the line ends. Inside `{{ … }}` two slashes divide integers.
fn comment(line: &str) -> usize {
    let is_division = |at: usize| line[..at].rfind("{{").is_some_and(|open| !line[open..at].contains("}}"));
    line.match_indices("//").map(|(at, _)| at).find(|&at| !is_division(at)).unwrap_or(line.len())
}
