//! `--tune`, and what is kept of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{Finished, command, doconv, finish, folder, inside, text};

const CASE: &str = "dw3x3-144@56";
const LAYER: &str = "3x3g144-144-144@56x56";

/// Times one layer on the first adapter there is, which is a GPU or stands for one.
fn bench(cache: &Path, tune: &str) -> Finished {
    let arguments = ["bench", "--suite", "layers", "--filter", CASE, "--adapter", "0", "--budget", "0.01", "--json"];
    finish(command(&arguments).args(["--tune", tune]).env("DOCONV_CACHE", text(cache)).output().unwrap())
}

fn without_gpus() -> bool {
    std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_was_timed_is_kept_and_used() {
    if without_gpus() {
        return;
    }
    let cache = folder();
    let file = inside(&cache, "tuning.json");
    let off = bench(cache.path(), "off").success().json();
    assert_eq!(off["settings"]["tuned"], 0);
    assert!(!file.exists(), "nothing was timed");

    let full = bench(cache.path(), "full").success();
    assert_eq!(full.json()["results"][0]["check"]["ok"], true, "{full:?}");
    let kept = read(&file);
    assert_eq!(kept["schema"], "doconv-tuning-1");
    assert_eq!((&kept["adapters"][0]["dtype"], kept["adapters"].as_array().unwrap().len()), (&"f32".into(), 1));
    let choice = kept["adapters"][0]["layers"][LAYER].as_str().unwrap();
    assert!(choice.starts_with("depthwise "), "{kept}");

    // Written by hand, it is what runs; and a second time nothing is timed anew.
    let by_hand = fs::read_to_string(&file).unwrap().replace(choice, "direct 1x1 8x4");
    fs::write(&file, by_hand.replace(LAYER, "1x1-8-8@1x1")).unwrap();
    let tuned = |json: Value| json["settings"]["tuned"].as_u64().unwrap();
    assert!(tuned(bench(cache.path(), "load").success().json()) > 0);
    bench(cache.path(), "full").success();
    assert_eq!(read(&file)["adapters"][0]["layers"].as_object().unwrap().len(), 2, "and nothing is lost");
}

#[test]
fn a_broken_file_is_said_and_is_in_nobodys_way() {
    if without_gpus() {
        return;
    }
    let cache = folder();
    let file = inside(&cache, "tuning.json");
    for broken in ["", "{", "[]", r#"{"schema": "doconv-tuning-99", "adapters": []}"#] {
        fs::write(&file, broken).unwrap();
        let finished = bench(cache.path(), "load").success();
        assert!(finished.stderr.contains(text(&file)) && finished.stderr.contains("--tune full"), "{finished:?}");
        assert_eq!(finished.json()["results"][0]["check"]["ok"], true);
        assert_eq!(fs::read_to_string(&file).unwrap(), broken, "it is left alone");
    }
    bench(cache.path(), "full").success();
    assert!(read(&file)["adapters"][0]["layers"][LAYER].is_string());
}

#[test]
fn there_are_three_ways_to_tune() {
    let finished = doconv(&["bench", "--tune", "sometimes"]);
    assert_eq!(finished.code, Some(2));
    for way in ["off", "load", "full"] {
        assert!(finished.stderr.contains(way), "{finished:?}");
    }
}
