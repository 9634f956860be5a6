//! `doconv fold` and `doconv expand`.

use std::fs;

use crate::command::{doconv, folder, inside, on_cpu, photo, text};

const BUNDLED: &str = "models/efficientnet-lite0-doconv.safetensors";

/// The probabilities of all classes of the cat, by class.
fn probabilities(model: &str) -> Vec<f64> {
    let json =
        on_cpu(&["classify", &photo("chelsea.png"), "--model", model, "--top", "1000", "--json"]).success().json();
    let mut classes = vec![f64::NAN; 1000];
    for prediction in json["results"][0]["predictions"].as_array().unwrap() {
        classes[prediction["class"].as_u64().unwrap() as usize] = prediction["probability"].as_f64().unwrap();
    }
    classes
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_way_there_and_back_keeps_the_function() {
    let folder = folder();
    let [composed, folded, half] = ["composed", "folded", "half"].map(|name| inside(&folder, name));
    let output = doconv(&["expand", BUNDLED, text(&composed), "--jitter", "0.2", "--seed", "3"]).success();
    assert_eq!(output.stdout, "");
    let info = doconv(&["info", text(&composed), "--json"]).success().json();
    assert_eq!((&info["state"], &info["dtype"]), (&"composed".into(), &"F32".into()));
    assert_eq!(info["composed_layers"], info["doconv_layers"]);
    doconv(&["fold", text(&composed), text(&folded)]).success();
    doconv(&["fold", text(&composed), text(&half), "--dtype", "f16"]).success();
    assert!(fs::metadata(&half).unwrap().len() < fs::metadata(&folded).unwrap().len() * 6 / 10);

    let expected = probabilities(BUNDLED);
    assert!(distance(&probabilities(text(&composed)), &expected) < 1e-4);
    assert!(distance(&probabilities(text(&folded)), &expected) < 1e-4);
    let of_half = distance(&probabilities(text(&half)), &expected);
    assert!(of_half < 2e-2, "{of_half}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else may be left");
}

#[test]
fn onnx_files_are_written_whole_or_not_at_all() {
    let folder = folder();
    let [onnx, half, other] = ["out.onnx", "half.onnx", "out.bin"].map(|name| inside(&folder, name));
    let said = doconv(&["fold", BUNDLED, text(&onnx)]).success();
    assert!(said.stdout.is_empty() && said.stderr.contains("out.onnx (ONNX, f32, 18."), "{said:?}");
    doconv(&["fold", BUNDLED, text(&half), "--dtype", "f16"]).success();
    doconv(&["fold", BUNDLED, text(&other), "--format", "onnx"]).success();
    assert_eq!(fs::read(&other).unwrap(), fs::read(&onnx).unwrap());
    let size = |path| fs::metadata(path).unwrap().len();
    assert!(size(&half) < size(&onnx) * 6 / 10);
    // The last word is the user's.
    doconv(&["fold", BUNDLED, text(&other), "--format", "safetensors"]).success();
    doconv(&["info", text(&other)]).success();

    // A value that f16 cannot hold: what was there stays.
    let bytes = fs::read(BUNDLED).unwrap();
    let (mut weights, metadata) = doconv::formats::read_tensors("bundled", &bytes).unwrap();
    weights.values_mut().next().unwrap().data_mut()[0] = 1e6;
    let tensors = weights.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let large = doconv::formats::write_tensors(tensors, &metadata, doconv::Dtype::F32).unwrap();
    let broken = inside(&folder, "large.safetensors");
    fs::write(&broken, large).unwrap();
    let before = fs::read(&half).unwrap();
    doconv(&["fold", text(&broken), text(&half), "--dtype", "f16"]).fails_with(&["1e6", "use f32"]);
    assert_eq!(fs::read(&half).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing else may be left");
}

#[test]
fn labels_can_be_replaced() {
    let folder = folder();
    let [labels, short, out] = ["labels.json", "short.json", "out.safetensors"].map(|name| inside(&folder, name));
    let names: Vec<String> = (0..1000).map(|class| format!("class number {class}")).collect();
    fs::write(&labels, serde_json::to_vec(&names).unwrap()).unwrap();
    doconv(&["fold", BUNDLED, text(&out), "--labels", text(&labels)]).success();
    let json = on_cpu(&["classify", &photo("chelsea.png"), "--model", text(&out), "--json"]).success().json();
    let best = &json["results"][0]["predictions"][0];
    assert_eq!(best["label"], format!("class number {}", best["class"]));

    fs::write(&short, r#"["one"]"#).unwrap();
    doconv(&["fold", BUNDLED, text(&out), "--labels", text(&short)]).fails_with(&["short.json", "1"]);
    fs::write(&short, r#"{"no": "array"}"#).unwrap();
    doconv(&["fold", BUNDLED, text(&out), "--labels", text(&short)]).fails_with(&["short.json", "JSON array"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = folder();
    let out = inside(&folder, "out.safetensors");
    doconv(&["fold", "nowhere.safetensors", text(&out)]).fails_with(&["nowhere.safetensors"]);
    let composed = inside(&folder, "out.onnx");
    doconv(&["expand", BUNDLED, text(&composed)]).fails_with(&["ONNX holds folded networks only", ".safetensors"]);
    doconv(&["expand", BUNDLED, text(&out), "--format", "onnx"]).fails_with(&["ONNX holds folded networks only"]);
    assert!(!composed.exists());
    doconv(&["fold", BUNDLED, text(&out), "--arch", "alexnet"]).fails_with(&["alexnet", "efficientnet_lite0"]);
    doconv(&["fold", BUNDLED, "nowhere/out.safetensors"]).fails_with(&["nowhere"]);
    doconv(&["fold", BUNDLED, text(folder.path())]).fails_with(&["directory"]);
    doconv(&["expand", BUNDLED, text(&out), "--jitter", "-1"]).fails_with(&["jitter"]);
    assert!(!out.exists());
}
