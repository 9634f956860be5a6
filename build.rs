//! The shaders as they go into the library: without what only people read and, in browsers, what is for half precision and
//! subgroups, which every visit of the page would fetch.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rustc-check-cfg=cfg(training)");
    if has_training() {
        println!("cargo::rustc-cfg=training");
    }
    println!("cargo::rerun-if-changed=shaders");
    let mut names = vec![];
    find(Path::new("shaders"), &mut names)?;
    names.sort();
    let mut sources = String::from("static SOURCES: &[(&str, &str)] = &[\n");
    let mut hasher = DefaultHasher::new();
    for name in names {
        let template = fs::read_to_string(Path::new("shaders").join(&name))?;
        let is_wanted = if in_browsers() { !template.starts_with(NATIVE_ONLY) } else { true };
        if is_wanted && (has_training() || !name.starts_with("training/")) {
            let stripped = strip(&template);
            let source = if in_browsers() { at_the_baseline(&stripped) } else { stripped };
            source.hash(&mut hasher);
            sources.push_str(&format!("    ({name:?}, {source:?}),\n"));
        }
    }
    sources.push_str("];\n");
    // What was verified with other templates has to be verified anew.
    println!("cargo::rustc-env=DOCONV_TEMPLATES={:016x}", hasher.finish());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("shaders.rs"), sources)
}

/// What a template begins with for which browsers have no use.
const NATIVE_ONLY: &str = "{# Natively only. #}";

/// Natively there is training; a page fetches it by itself, with a module of its own.
fn has_training() -> bool {
    !in_browsers() || env::var_os("CARGO_FEATURE_WEB_TEACH").is_some()
}

/// The files of a folder and those within it, as paths within `shaders/`.
fn find(folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, names)?;
        } else {
            let within: Vec<_> = path.components().skip(1).map(|part| part.as_os_str().to_string_lossy()).collect();
            names.push(within.join("/"));
        }
    }
    Ok(())
}

fn in_browsers() -> bool {
    env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "wasm32")
}

/// What `src/gpu/shader/key.rs` has for single precision, put into a template that was stripped, without what is for subgroups.
fn at_the_baseline(template: &str) -> String {
    let is_block =
        |line: &str| ["{% if ", "{% for "].iter().any(|start| line.starts_with(start)) && !line.contains("{% end");
    let mut chosen = String::new();
    // For every block that is open, whether its lines are wanted; none where that is not about tiers.
    let mut blocks: Vec<Option<bool>> = vec![];
    for line in template.lines() {
        if ["{% if half_sums %}", "{% if subgroup %}"].contains(&line) {
            blocks.push(Some(false));
            continue;
        }
        match (line, blocks.last_mut()) {
            ("{% else %}", Some(Some(wanted))) => {
                *wanted = !*wanted;
                continue;
            }
            ("{% endif %}" | "{% endfor %}", Some(block)) => {
                let is_about_tiers = block.is_some();
                blocks.pop();
                if is_about_tiers {
                    continue;
                }
            }
            // Those that end on their line are no blocks of lines.
            _ if is_block(line) => blocks.push(None),
            _ => {}
        }
        if !blocks.contains(&Some(false)) {
            chosen.push_str(line);
            chosen.push('\n');
        }
    }
    for scalar in ["stored", "loaded"] {
        chosen = chosen.replace(&format!("{{{{ {scalar} }}}}"), "f32");
    }
    for conversion in ["widen", "widen4", "narrow", "narrow4", "load4"] {
        chosen = chosen.replace(&format!("{{{{ {conversion} }}}}"), "");
    }
    chosen.replace("{{ sum }}", "sum")
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

/// Where a comment begins, or the line ends. Inside `{{ … }}` and `{% … %}` two slashes divide integers.
fn comment(line: &str) -> usize {
    let is_inside = |at: usize, [open, close]: [&str; 2]| {
        line[..at].rfind(open).is_some_and(|open| !line[open..at].contains(close))
    };
    let is_division = |at: usize| is_inside(at, ["{{", "}}"]) || is_inside(at, ["{%", "%}"]);
    line.match_indices("//").map(|(at, _)| at).find(|&at| !is_division(at)).unwrap_or(line.len())
}
