//! ONNX files wherever a model is named.

use std::collections::BTreeMap;
use std::fs;

use doconv::formats::{read_tensors, write_tensors};
use doconv::{Dtype, Tensor, Weights};

use crate::command::{doconv, folder, inside, on_cpu, photo, text};

const FOLDER: &str = "tests/data/onnx";

fn recorded(name: &str) -> Weights {
    read_tensors(name, &fs::read(format!("{FOLDER}/{name}.safetensors")).unwrap()).unwrap().0
}

/// Writes some of the recorded arrays to a file.
fn inputs(folder: &tempfile::TempDir, name: &str, wanted: &[&str]) -> std::path::PathBuf {
    let arrays: Vec<(&str, Tensor)> = wanted.iter().map(|&input| (input, recorded(name)[input].clone())).collect();
    let bytes =
        write_tensors(arrays.iter().map(|(name, tensor)| (*name, tensor)), &BTreeMap::new(), Dtype::F32).unwrap();
    let path = inside(folder, &format!("{name}-in.safetensors"));
    fs::write(&path, bytes).unwrap();
    path
}

fn assert_near(name: &str, got: &Weights, outputs: &[&str]) {
    let expected = recorded(name);
    assert_eq!(got.keys().collect::<Vec<_>>(), outputs.iter().collect::<Vec<_>>());
    for output in outputs {
        assert_eq!(got[*output].shape(), expected[*output].shape(), "{name}: {output}");
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(got[*output].data().iter().zip(expected[*output].data()).all(near), "{name}: {output}");
    }
}

#[test]
fn run_takes_and_gives_arrays_as_the_file_has_them() {
    let folder = folder();
    let cases: [(&str, &[&str], &[&str]); 4] = [
        ("layers", &["x"], &["y", "z"]),
        ("first_axis", &["x", "z"], &["s", "y"]),
        ("shapes", &["x"], &["y"]),
        ("names", &["in put/ä:0"], &["echo", "out;\n"]),
    ];
    for (name, wanted, outputs) in cases {
        let (input, output) = (inputs(&folder, name, wanted), inside(&folder, "out.safetensors"));
        let model = format!("{FOLDER}/{name}.onnx");
        on_cpu(&["run", &model, "--input", text(&input), "--output", text(&output)]).success();
        assert_near(name, &read_tensors("out", &fs::read(output).unwrap()).unwrap().0, outputs);
    }
}

#[test]
fn a_file_is_onnx_by_content_too() {
    let folder = folder();
    let (copy, output) = (inside(&folder, "model.bin"), inside(&folder, "out.safetensors"));
    fs::copy(format!("{FOLDER}/layers.onnx"), &copy).unwrap();
    let input = inputs(&folder, "layers", &["x"]);
    on_cpu(&["run", text(&copy), "--input", text(&input), "--output", text(&output)]).success();
    assert_near("layers", &read_tensors("out", &fs::read(output).unwrap()).unwrap().0, &["y", "z"]);
}

#[test]
fn doconv_layers_run_in_every_mode_and_fold() {
    let folder = folder();
    let name = "doconv-matmul-dynamo";
    let (model, input) = (format!("{FOLDER}/{name}.onnx"), inputs(&folder, name, &["x"]));
    for mode in ["folded", "kernel"] {
        let output = inside(&folder, "out.safetensors");
        on_cpu(&["run", &model, "--input", text(&input), "--output", text(&output), "--mode", mode]).success();
        assert_near(name, &read_tensors("out", &fs::read(output).unwrap()).unwrap().0, &["y"]);
    }
    let info = doconv(&["info", &model, "--json"]).success().json();
    assert_eq!((&info["state"], &info["composed_layers"]), (&"composed".into(), &3.into()));
    let folded = inside(&folder, "folded.safetensors");
    let done = doconv(&["fold", &model, text(&folded)]).success();
    assert!(done.stderr.contains("folded 3 DO-Conv layers and 1 batch norm"), "{done:?}");
    assert_eq!(doconv(&["info", text(&folded), "--json"]).success().json()["state"], "folded");
    doconv(&["expand", &format!("{FOLDER}/layers.onnx"), text(&folded)]).success();
}

#[test]
fn what_does_not_work_is_said() {
    let folder = folder();
    let layers = format!("{FOLDER}/layers.onnx");
    on_cpu(&["classify", &photo("chelsea.png"), "--model", &layers]).fails_with(&["layers.onnx", "`doconv run`"]);
    doconv(&["info", &layers, "--arch", "resnet18"]).fails_with(&["layers.onnx", "leave out --arch resnet18"]);
    doconv(&["info", &format!("{FOLDER}/unsupported.onnx")]).fails_with(&["Erf", "com.example.Special"]);
    let output = inside(&folder, "out.safetensors");
    let run = |model: &str, input: &str| on_cpu(&["run", model, "--input", input, "--output", text(&output)]);
    let wrong = inputs(&folder, "first_axis", &["x"]);
    run(&layers, text(&wrong)).fails_with(&["input `x`", "[3, 3, 11, 10]", "[3, 2, 4]"]);
    run(&format!("{FOLDER}/first_axis.onnx"), text(&wrong)).fails_with(&["there is no array `z`"]);
    let surplus = inputs(&folder, "first_axis", &["x", "z", "y"]);
    run(&format!("{FOLDER}/first_axis.onnx"), text(&surplus)).fails_with(&["no input `y`"]);
    let some = inputs(&folder, "external", &["x"]);
    run(&format!("{FOLDER}/kernels.onnx"), text(&some)).fails_with(&["must be known when the model is loaded"]);
}
