//! The shaders as they go into the library: without what only people read and, in browsers, what is for half precision and
//! subgroups, which every visit of the page would fetch.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Natively there is training; a page fetches it by itself, with a module of its own.
    println!("cargo::rustc-check-cfg=cfg(training)");
    if !in_browsers() || env::var_os("CARGO_FEATURE_WEB_TEACH").is_some() {
        println!("cargo::rustc-cfg=training");
    }
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
            let stripped = strip(&fs::read_to_string(path)?);
            fs::write(to, if in_browsers() { at_the_baseline(&stripped) } else { stripped })?;
        }
    }
    Ok(())
}

fn in_browsers() -> bool {
    env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "wasm32")
}

/// What `src/gpu/variant.rs` has for single precision, put into a template that was stripped, without what is for subgroups.
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
