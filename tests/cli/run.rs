//! `doconv run`.

use std::fs;
use std::path::Path;

use doconv::{Dtype, Tensor, formats};
use npyz::WriterBuilder;

use crate::command::{doconv, folder, inside, on_cpu, text};

const BUNDLED: &str = "models/efficientnet-lite0-doconv.safetensors";

fn input(batch: usize) -> Tensor {
    let count = batch * 3 * 224 * 224;
    let values = (0..count).map(|index| ((index * 7919 % 2003) as f32) / 1001.5 - 1.0).collect();
    Tensor::new([batch, 3, 224, 224], values).unwrap()
}

fn write_npy<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[usize], values: &[T]) {
    let shape: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
    let mut bytes = vec![];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter()).unwrap();
    writer.finish().unwrap();
    fs::write(path, bytes).unwrap();
}

fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

fn run(input: &Path, output: &Path) -> crate::command::Finished {
    on_cpu(&["run", BUNDLED, "--input", text(input), "--output", text(output)])
}

#[test]
fn both_kinds_of_files_give_the_same_logits() {
    let folder = folder();
    let path = |name: &str| inside(&folder, name);
    let array = input(2);
    write_npy(&path("x.npy"), array.shape(), array.data());
    let wide: Vec<f64> = array.data().iter().map(|&value| value.into()).collect();
    write_npy(&path("wide.npy"), array.shape(), &wide);
    let named = formats::write_tensors([("image", &array)], &Default::default(), Dtype::F32).unwrap();
    fs::write(path("x.safetensors"), named).unwrap();

    let output = run(&path("x.npy"), &path("y.npy")).success();
    assert!(output.stdout.contains("folded mode on cpu"), "{output:?}");
    run(&path("wide.npy"), &path("wide-y.npy")).success();
    run(&path("x.safetensors"), &path("y.safetensors")).success();

    let (shape, logits) = read_npy(&path("y.npy"));
    assert_eq!(shape, [2, 1000]);
    assert!(logits.iter().all(|logit| logit.is_finite()) && logits[..1000] != logits[1000..]);
    assert_eq!(read_npy(&path("wide-y.npy")).1, logits);
    let (tensors, _) = formats::read_tensors("y", &fs::read(path("y.safetensors")).unwrap()).unwrap();
    assert_eq!(tensors["_fc"].data(), logits);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "nothing else may be left");
}

#[test]
fn times_are_reported() {
    let folder = folder();
    let [x, y] = ["x.npy", "y.npy"].map(|name| inside(&folder, name));
    write_npy(&x, input(1).shape(), input(1).data());
    let arguments = ["run", BUNDLED, "--input", text(&x), "--output", text(&y), "--repeat", "3", "--json"];
    let json = on_cpu(&arguments).success().json();
    assert_eq!(json["adapter"]["name"], "cpu");
    assert!(json["load_ms"].as_f64().unwrap() > 0.0 && json["first_ms"].as_f64().unwrap() > 0.0);
    let samples = json["samples_ms"].as_array().unwrap();
    assert!(samples.len() == 3 && samples.iter().all(|sample| sample.as_f64().unwrap() > 0.0), "{json}");
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = folder();
    let path = |name: &str| inside(&folder, name);
    let (x, y) = (path("x.npy"), path("y.npy"));
    write_npy(&x, &[1, 3, 8, 8], &[0f32; 192]);
    run(&x, &y).fails_with(&["x.npy", "`image`", "[N, 3, 224, 224]", "[1, 3, 8, 8]"]);
    write_npy(&x, &[0, 3, 224, 224], &[0f32; 0]);
    run(&x, &y).fails_with(&["N ≥ 1", "[0, 3, 224, 224]"]);
    write_npy(&x, &[2], &[1i64, 2]);
    run(&x, &y).fails_with(&["x.npy", "<i8", "float32"]);
    fs::write(&x, "no array").unwrap();
    run(&x, &y).fails_with(&["x.npy", "not a .npy file"]);
    run(Path::new("Cargo.toml"), &y).fails_with(&["Cargo.toml", ".npy"]);
    run(&path("missing.npy"), &y).fails_with(&["missing.npy", "No such file"]);

    let named = formats::write_tensors([("pixels", &input(1))], &Default::default(), Dtype::F32).unwrap();
    fs::write(path("x.safetensors"), named).unwrap();
    run(&path("x.safetensors"), &y).fails_with(&["x.safetensors", "no tensor `image`", "pixels"]);

    write_npy(&x, input(1).shape(), input(1).data());
    run(&x, &path("nowhere").join("y.npy")).fails_with(&["y.npy", "nowhere"]);
    run(&x, &path("y.txt")).fails_with(&["y.txt", ".npy"]);
    run(&x, folder.path()).fails_with(&["is a directory"]);
    doconv(&["run", "m.onnx", "--input", text(&x), "--output", text(&y)]).fails_with(&["m.onnx", "No such file"]);
    assert!(!y.exists());
}
