//! Commands on other programs' files.

use std::fs;

use doconv::formats;

use crate::command::{doconv, folder, inside, on_cpu, text};

const RESNET20: &str = "tests/data/resnet20-doconv.safetensors";

fn checkpoint(name: &str) -> String {
    format!("tests/data/checkpoints/{name}")
}

/// Runs a file of weights on the recorded image and gives the largest difference from the recorded logits.
fn difference(arguments: &[&str], io: &str, input: &str) -> f32 {
    let folder = folder();
    let [x, y] = ["x.safetensors", "y.safetensors"].map(|name| inside(&folder, name));
    let (tensors, _) = formats::read_tensors("io", &fs::read(io).unwrap()).unwrap();
    let named = formats::write_tensors([("image", &tensors[input])], &Default::default(), doconv::Dtype::F32).unwrap();
    fs::write(&x, named).unwrap();
    on_cpu(&[&["run"], arguments, &["--input", text(&x), "--output", text(&y)]].concat()).success();
    let (got, _) = formats::read_tensors("y", &fs::read(&y).unwrap()).unwrap();
    let got = got.values().next().unwrap().data();
    got.iter().zip(tensors["logits"].data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn fold_and_run_give_the_recorded_logits() {
    let folder = folder();
    let model = inside(&folder, "model.safetensors");
    let output = doconv(&["fold", RESNET20, text(&model), "--arch", "resnet20"]).success();
    assert!(output.stderr.contains("folded 19 DO-Conv layers and 21 batch norms"), "{output:?}");
    let io = "tests/data/resnet20-doconv-io.safetensors";
    for arguments in [
        &[text(&model)][..],
        &[text(&model), "--mode", "kernel"],
        &[RESNET20, "--arch", "resnet20"],
        &[RESNET20, "--arch", "resnet20", "--mode", "kernel"],
    ] {
        assert!(difference(arguments, io, "input") < 1e-4, "{arguments:?}");
    }

    let io = checkpoint("expected.safetensors");
    for name in ["doconv.pth", "legacy.pth", "wrapped.pth", "tensorflow.npz", "gluon.npz", "keras.npz"] {
        assert!(difference(&[&checkpoint(name), "--arch", "mnist_sample"], &io, "image") < 1e-5, "{name}");
        doconv(&["fold", &checkpoint(name), text(&model), "--arch", "mnist_sample"]).success();
        assert!(difference(&[text(&model)], &io, "image") < 1e-5, "{name}");
    }
}

#[test]
fn info_reads_every_file() {
    let info = |name: &str| doconv(&["info", &checkpoint(name), "--arch", "mnist_sample", "--json"]).success().json();
    let json = info("half.pth");
    assert_eq!(
        (&json["name"], &json["dtype"], &json["state"]),
        (&"mnist_sample".into(), &"F16".into(), &"folded".into())
    );
    let json = info("tensorflow.npz");
    assert_eq!((&json["state"], &json["composed_layers"]), (&"composed".into(), &3.into()));
}

#[test]
fn the_depth_multiplier_can_be_chosen() {
    let folder = folder();
    let model = inside(&folder, "model.safetensors");
    let plain = checkpoint("parameters.pt");
    doconv(&["expand", &plain, text(&model), "--arch", "mnist_sample", "--d-mul", "12"]).success();
    let (weights, _) = formats::read_tensors("model", &fs::read(&model).unwrap()).unwrap();
    assert_eq!(weights["conv2.W"].shape(), [16, 16, 12]);
    let out = inside(&folder, "out.safetensors");
    doconv(&["expand", &plain, text(&out), "--arch", "mnist_sample", "--d-mul", "8"])
        .fails_with(&["conv1: d_mul 8 is below the 9 taps"]);
    assert!(!out.exists());
}

#[test]
fn a_small_depth_multiplier_is_read_with_a_warning() {
    let folder = folder();
    let [file, out] = ["small.safetensors", "out.safetensors"].map(|name| inside(&folder, name));
    let weights = formats::StateDict::open(checkpoint("doconv.pth")).unwrap();
    let mut weights = weights.weights().clone();
    weights.remove("conv2.d_diag");
    weights.insert("conv2.W".into(), doconv::Tensor::zeros([16, 16, 4]));
    weights.insert("conv2.D".into(), doconv::Tensor::zeros([16, 9, 4]));
    let tensors = weights.iter().map(|(name, tensor)| (name.as_str(), tensor));
    fs::write(&file, formats::write_tensors(tensors, &Default::default(), doconv::Dtype::F32).unwrap()).unwrap();
    let output = doconv(&["fold", text(&file), text(&out), "--arch", "mnist_sample"]).success();
    assert!(
        output.stderr.starts_with("warning: 1 DO-Conv layers (the first is conv2) have a D_mul below"),
        "{output:?}"
    );
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let folder = folder();
    let out = inside(&folder, "out.safetensors");
    let fold = |file: &str, arch: &str| doconv(&["fold", file, text(&out), "--arch", arch]);
    fold(&checkpoint("malicious.pth"), "mnist_sample").fails_with(&["malicious.pth", "`posix.system`"]);
    fold(RESNET20, "resnet18").fails_with(&["no weights of resnet18", "tensor `", "they fit resnet20"]);
    fold(&checkpoint("huge.pth"), "mnist_sample").fails_with(&["huge.pth", "1099511627776"]);
    doconv(&["info", RESNET20]).fails_with(&["name it with --arch", "these fit: resnet20"]);
    doconv(&["fold", &checkpoint("doconv.pth"), text(&out)]).fails_with(&["--arch", "mnist_sample"]);
    doconv(&["info", &checkpoint("expected.safetensors")]).fails_with(&["they fit no architecture"]);
    doconv(&["info", "--arch", "resnet18"]).fails_with(&["no file is named"]);
    let bundled = "models/efficientnet-lite0-doconv.safetensors";
    doconv(&["info", bundled, "--arch", "resnet18"]).fails_with(&["describes `efficientnet_lite0`, not `resnet18`"]);
    doconv(&["info", bundled, "--arch", "efficientnet_lite0"]).success();
    assert!(!out.exists());
    assert!(doconv(&["run", "--help"]).success().stdout.contains("mobilenet_v3_large"));
}
