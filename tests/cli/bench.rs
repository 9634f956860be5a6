//! `doconv bench`.

use std::fs;

use doconv::bench::{Outcome, Record};

use crate::command::{doconv, folder, inside, on_cpu, text};

const QUICK: [&str; 5] = ["bench", "--filter", "dw3x3-384", "--budget", "0.001"];

fn quick(more: &[&str]) -> crate::command::Finished {
    on_cpu(&[&QUICK[..], more].concat())
}

#[test]
fn the_record_is_what_the_library_reads() {
    let folder = folder();
    let path = inside(&folder, "record.json");
    let output = quick(&["--suite", "layers", "--json", "--output", text(&path)]).success();
    let record: Record = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(serde_json::from_slice::<Record>(&fs::read(&path).unwrap()).unwrap(), record);
    let json = output.json();
    assert_eq!((&json["schema"], &json["adapter"]["name"]), (&"doconv-bench-1".into(), &"cpu".into()));
    assert_eq!((&json["settings"]["budget_ms"], &json["settings"]["suites"][0]), (&1.0.into(), &"layers".into()));
    assert_eq!(json["settings"]["precision"], "f32");
    let case = &json["results"][0];
    assert_eq!((&case["name"], &case["suite"]), (&"dw3x3-384@14".into(), &"layers".into()));
    assert_eq!((&case["mode"], &case["check"]["ok"]), (&"folded".into(), &true.into()));
    assert!(case["samples_ms"].as_array().unwrap().len() >= 6 && case["median_ms"].as_f64().unwrap() > 0.0, "{case}");
    assert!(matches!(&record.results[..], [case] if matches!(case.outcome, Outcome::Measured(_))));
}

#[test]
fn people_get_a_table() {
    let output = quick(&[]).success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("case ") && lines[0].contains("95 % interval"), "{output:?}");
    // How much a quick run drifts is nothing to rely on.
    let verdict = lines[1].split("  ").last().and_then(|verdict| verdict.split(", drift").next());
    assert!(lines[1].starts_with("dw3x3-384@14  folded") && verdict == Some("ok"), "{output:?}");
    assert!(lines[2].starts_with("one run on cpu (cpu backend, "), "{output:?}");
    assert_eq!((lines.len(), output.stderr.as_str()), (3, ""), "{output:?}");
}

#[test]
fn what_cannot_be_done_is_said() {
    quick(&["--suite", "networks"]).fails_with(&["nothing to time", "`dw3x3-384`"]);
    for suite in ["layers", "peak"] {
        let named = format!("--suite {suite}");
        quick(&["--suite", suite, "--model", "m.safetensors"]).fails_with(&["m.safetensors", &named]);
    }
    quick(&["--model", "nowhere.safetensors"]).fails_with(&["nowhere.safetensors", "No such file"]);
    quick(&["--output", "nowhere/record.json"]).fails_with(&["nowhere/record.json"]);
    for budget in ["-1", "NaN", "soon"] {
        let output = doconv(&["bench", &format!("--budget={budget}")]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    }
}
