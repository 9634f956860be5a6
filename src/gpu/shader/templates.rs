//! The templates in `shaders/`, as `build.rs` has stripped them, and what they can call.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

/// A template with these values.
pub(super) fn render(template: &str, values: Value) -> String {
    templates()
        .get_template(template)
        .and_then(|template| template.render(values))
        .unwrap_or_else(|error| panic!("shaders/{template}: {error:#}"))
}

/// A sum in WGSL: coefficients times variables, whose names are `pattern` with their index in place of `#`.
fn combine(coefficients: Vec<f64>, pattern: &str) -> String {
    let mut sum = String::new();
    for (index, coefficient) in coefficients.into_iter().enumerate().filter(|&(_, coefficient)| coefficient != 0.0) {
        sum.push_str(match (coefficient < 0.0, sum.is_empty()) {
            (true, _) => " - ",
            (false, false) => " + ",
            (false, true) => "",
        });
        if coefficient.abs() != 1.0 {
            sum.push_str(&format!("{:?} * ", coefficient.abs()));
        }
        sum.push_str(&pattern.replace('#', &index.to_string()));
    }
    sum.trim_start().into()
}

/// Parsed once.
fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut environment = Environment::empty();
        let whitespace =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(whitespace.expect("only whitespace is configured"));
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        // The functions that templates call; the built-in ones would be a tenth of the browser's download.
        environment.add_function("range", |end: u32| Value::from_iter(0..end));
        environment.add_function("combine", combine);
        for (name, source) in SOURCES {
            environment.add_template(name, source).unwrap_or_else(|error| panic!("shaders/{name}: {error:#}"));
        }
        environment
    })
}

// Every file in `shaders/` that this build has a use for, as `SOURCES: &[(&str, &str)]`.
include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_without_what_only_people_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        for (name, stripped) in SOURCES {
            let original = std::fs::read_to_string(folder.join(name)).unwrap();
            assert!(stripped.len() < original.len(), "{name}");
            for line in stripped.lines() {
                assert!(!line.starts_with(' ') && !line.starts_with("//") && !line.is_empty(), "{name}: {line}");
                assert!(original.contains(line), "{name}: {line}");
            }
            for code in ["{{", "{% for", "{% if", "@binding", "fn "] {
                let in_code = |text: &str| {
                    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                    lines.map(|line| line.matches(code).count()).sum::<usize>()
                };
                assert_eq!(in_code(stripped), in_code(&original), "{name}: {code}");
            }
        }
    }
}
