//! Records for tests. Nothing in them was measured.

use serde_json::{Value, json};

use super::read::{Source, read};

/// A right case with an interval of 5 % to either side.
pub fn case(suite: &str, name: &str, median_ms: f64) -> Value {
    json!({
        "suite": suite, "name": name, "mode": "folded", "batch": 1, "macs": 2_000_000, "kernels": ["conv_direct"],
        "check": { "ok": true, "largest_error": 0.5, "tolerance": 1.0, "reference": "f64 reference" },
        "setup_ms": 1.0, "first_ms": 2.0, "repeats": 1, "samples_ms": vec![median_ms; 8], "median_ms": median_ms,
        "ci95_ms": [0.95 * median_ms, 1.05 * median_ms], "gmacs_per_s": 2.0 / median_ms,
    })
}

/// A case of the suite `peak`, with what one run computes and moves.
pub fn peak(name: &str, median_ms: f64, macs: u64, bytes: u64) -> Value {
    let mut case = case("peak", name, median_ms);
    (case["macs"], case["bytes"]) = (macs.into(), bytes.into());
    case
}

/// A record with two layers, which take 1 and 4 ms.
pub fn record(adapter: &str, kind: &str) -> Value {
    json!({
        "schema": "doconv-bench-1", "version": "0.0.0", "commit": null, "date": "2026-01-02T03:04:05Z",
        "environment": { "os": "linux x86_64", "browser": null, "threads": 2 },
        "adapter": {
            "name": adapter, "backend": "vulkan", "driver": "made up 1.0", "type": kind, "features": [], "limits": {},
        },
        "settings": {
            "suites": ["layers"], "filter": "", "timed": "nothing", "confidence": 0.95, "relative_bound": 0.05,
            "budget_ms": 1.0, "warm_up_ms": 1.0, "min_sample_ms": 1.0, "timer_resolution_ms": 0.001,
        },
        "stopped": false,
        "results": [case("layers", "3x3-64-64@56", 1.0), case("layers", "dw3x3-384@14", 4.0)],
    })
}

/// The record as it comes from a file.
pub fn source(name: &str, record: &Value) -> Source {
    read(name, &serde_json::to_vec(record).unwrap()).unwrap()
}

/// Records of these adapters, with both medians of each multiplied.
pub fn sources(adapters: &[(&str, &str, f64)]) -> Vec<Source> {
    let named = |(at, (name, kind, factor)): (usize, &(&str, &str, f64))| {
        let mut record = record(name, kind);
        record["results"] =
            json!([case("layers", "3x3-64-64@56", *factor), case("layers", "dw3x3-384@14", 4.0 * factor)]);
        source(&format!("{at}.json"), &record)
    };
    adapters.iter().enumerate().map(named).collect()
}
