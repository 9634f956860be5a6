//! `doconv layer`.

use std::fs;
use std::path::Path;

use doconv::formats::{Metadata, read_tensors, write_tensors};
use doconv::{Dtype, Weights};

use crate::command::{Finished, doconv, folder, inside, on_cpu, text};

const LAYERS: &str = "tests/data/layers";

fn read(path: &Path) -> (Weights, Metadata) {
    read_tensors(text(path), &fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, (tensors, metadata): &(Weights, Metadata)) {
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    fs::write(path, write_tensors(tensors, metadata, Dtype::F32).unwrap()).unwrap();
}

fn verify(path: &Path, more: &[&str]) -> Finished {
    on_cpu(&[&["layer", text(path), "--verify"], more].concat())
}

#[test]
fn results_are_written() {
    let folder = folder();
    let out = inside(&folder, "out.safetensors");
    let input = format!("{LAYERS}/depthwise.safetensors");
    let forward = on_cpu(&["layer", &input, text(&out)]).success();
    assert!(forward.stdout.starts_with("folded mode on cpu"), "{forward:?}");
    assert_eq!(read(&out).0.keys().collect::<Vec<_>>(), ["folded", "output"]);
    for mode in ["folded", "kernel", "feature"] {
        let arguments = ["layer", &input, text(&out), "--backward", "--mode", mode, "--json"];
        let json = on_cpu(&arguments).success().json();
        assert_eq!((&json["mode"], &json["adapter"]["name"]), (&mode.into(), &"cpu".into()));
        assert_eq!(json["shapes"]["grad_D"], serde_json::json!([8, 9, 9]));
        let (results, _) = read(&out);
        let names: Vec<_> = results.keys().map(String::as_str).collect();
        assert_eq!(names, ["folded", "grad_D", "grad_W", "grad_bias", "grad_input", "output"]);
        let (recorded, _) = read(Path::new(&input));
        for (name, tensor) in &results {
            let want = &recorded[name];
            assert_eq!(tensor.shape(), want.shape());
            let off = tensor.data().iter().zip(want.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-4, "{mode}, {name}: {off}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else may be left");
}

#[test]
fn recorded_layers_verify_and_wrong_ones_do_not() {
    let folder = folder();
    let path = inside(&folder, "layer.safetensors");
    let file = read(Path::new(&format!("{LAYERS}/stride2_pad1.safetensors")));
    write(&path, &file);
    let finished = verify(&path, &[]).success();
    assert_eq!(finished.stdout.matches("passed").count(), 7, "{finished:?}");
    assert!(finished.stdout.contains("passed: 6 of 6 tensors"), "{finished:?}");
    let json = verify(&path, &["--json", "--mode", "feature"]).success().json();
    assert_eq!((&json["passed"], json["verified"].as_array().unwrap().len()), (&true.into(), 6));

    for name in ["folded", "output", "grad_input", "grad_W", "grad_D", "grad_bias"] {
        let (mut tensors, metadata) = file.clone();
        let range = tensors[name].data().iter().fold(0.0f32, |range, value| range.max(value.abs()));
        let off = range * if name.starts_with("grad") { 2e-3 } else { 2e-4 };
        tensors.get_mut(name).unwrap().data_mut()[3] += off;
        write(&path, &(tensors, metadata));
        let finished = verify(&path, &[]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert!(finished.stderr.contains(name) && finished.stderr.contains("further off"), "{finished:?}");
        assert!(finished.stdout.contains("FAILED: 5 of 6 tensors"), "{finished:?}");
        verify(&path, &["--tolerance", "0.01", "--gradient-tolerance", "0.01"]).success();
        let json = verify(&path, &["--json"]).json();
        assert_eq!(json["passed"], false);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = folder();
    let (path, out) = (inside(&folder, "layer.safetensors"), inside(&folder, "out.safetensors"));
    let (tensors, metadata) = read(Path::new(&format!("{LAYERS}/grouped2.safetensors")));
    let keep = |names: &[&str]| {
        let tensors = tensors.iter().filter(|(name, _)| names.contains(&name.as_str()));
        write(&path, &(tensors.map(|(name, tensor)| (name.clone(), tensor.clone())).collect(), metadata.clone()));
    };
    keep(&["input", "W", "D", "bias"]);
    verify(&path, &[]).fails_with(&["layer.safetensors", "nothing to verify"]);
    on_cpu(&["layer", text(&path), text(&out), "--backward"])
        .fails_with(&["layer.safetensors", "no tensor `grad_output`"]);
    on_cpu(&["layer", text(&path), text(&out), "--mode", "feature"])
        .fails_with(&["torch pairing", "mode folded or kernel"]);
    keep(&["input", "W", "D", "bias", "grad_W"]);
    verify(&path, &[]).fails_with(&["no tensor `grad_output`", "`grad_W`"]);
    keep(&["input", "W", "D", "bias", "folded", "output"]);
    verify(&path, &[]).success();
    keep(&["input", "W", "bias"]);
    on_cpu(&["layer", text(&path), text(&out)]).fails_with(&["layer.safetensors", "`D`", "missing"]);
    on_cpu(&["layer", "nowhere.safetensors", text(&out)]).fails_with(&["nowhere.safetensors", "No such file"]);
    on_cpu(&["layer", "Cargo.toml", text(&out)]).fails_with(&["Cargo.toml", "not a valid safetensors file"]);
    on_cpu(&["layer", text(&path), "nowhere/out.safetensors"]).fails_with(&["nowhere/out.safetensors"]);
    assert!(!out.exists());
    for arguments in [
        &["layer", "x"][..],
        &["layer", "x", "y", "--tolerance", "0.1"],
        &["layer", "x", "--verify", "--tolerance", "-1"],
    ] {
        assert_eq!(doconv(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_small_d_mul_is_warned_of() {
    let finished = verify(Path::new(&format!("{LAYERS}/dmul4_below_taps.safetensors")), &[]).success();
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.contains("warning: d_mul 4 is below the 9 taps"), "{finished:?}");
    assert_eq!(verify(Path::new(&format!("{LAYERS}/dmul11.safetensors")), &[]).success().stderr, "");
}
