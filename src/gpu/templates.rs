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
        for (name, source) in SOURCES.iter().chain(NATIVE_SOURCES).chain(TRAINING_SOURCES) {
            environment.add_template(name, source).unwrap_or_else(|error| panic!("shaders/{name}: {error:#}"));
        }
        environment
    })
}

/// As `build.rs` has stripped them.
macro_rules! sources {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!(env!("OUT_DIR"), "/shaders/", $name)))),*] };
}

/// Those that browsers have nothing for.
#[cfg(not(target_arch = "wasm32"))]
const NATIVE_SOURCES: &[(&str, &str)] = sources!["conv_cooperative.wgsl"];
#[cfg(target_arch = "wasm32")]
const NATIVE_SOURCES: &[(&str, &str)] = &[];

/// Those of gradients.
#[cfg(training)]
const TRAINING_SOURCES: &[(&str, &str)] = sources![
    "bias_gradient.wgsl",
    "common/kernel_gradient.wgsl",
    "compose_gradient.wgsl",
    "kernel_gradient_depthwise.wgsl",
    "kernel_gradient_direct.wgsl",
    "kernel_gradient_grouped.wgsl",
    "kernel_gradient_tiled.wgsl",
    "kernel_map.wgsl",
    "pad_gradient.wgsl",
    "sum_parts.wgsl",
    "transpose_kernel.wgsl",
    "training/accumulate.wgsl",
    "training/activation_gradient.wgsl",
    "training/batch_statistics.wgsl",
    "training/blend.wgsl",
    "training/cross_entropy.wgsl",
    "training/hyperparameters.wgsl",
    "training/join_statistics.wgsl",
    "training/load.wgsl",
    "training/norm_gradient.wgsl",
    "training/norm_sums.wgsl",
    "training/normalise.wgsl",
    "training/pool_gradient.wgsl",
    "training/reduce.wgsl",
    "training/square_sum.wgsl",
    "training/update.wgsl",
];
#[cfg(not(training))]
const TRAINING_SOURCES: &[(&str, &str)] = &[];

const SOURCES: &[(&str, &str)] = sources![
    "common/activation.wgsl",
    "common/conv_bindings.wgsl",
    "common/conv_store.wgsl",
    "common/logistic.wgsl",
    "common/map.wgsl",
    "common/number.wgsl",
    "common/number_kind.wgsl",
    "common/resample.wgsl",
    "compose.wgsl",
    "constant.wgsl",
    "conv_depthwise.wgsl",
    "conv_direct.wgsl",
    "conv_feature.wgsl",
    "conv_grouped.wgsl",
    "conv_sum.wgsl",
    "conv_tiled.wgsl",
    "copy_channels.wgsl",
    "elementwise.wgsl",
    "global_pool.wgsl",
    "lrn.wgsl",
    "pad.wgsl",
    "peak_copy.wgsl",
    "peak_count.wgsl",
    "peak_fma.wgsl",
    "pool.wgsl",
    "rearrange.wgsl",
    "resample_columns.wgsl",
    "resample_rows.wgsl",
    "resize.wgsl",
    "softmax.wgsl",
    "top_k.wgsl",
    "winograd_input.wgsl",
    "winograd_kernel.wgsl",
    "winograd_output.wgsl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_without_what_only_people_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        for (name, stripped) in SOURCES.iter().chain(TRAINING_SOURCES) {
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
