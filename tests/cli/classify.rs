//! `doconv classify`.

use std::fs;
use std::process::Stdio;

use doconv::network::{FORMAT_VERSION, Filter, Input, Network, Node, Op, Preprocess};
use doconv::{Dtype, Model, Tensor};
use serde_json::Value;

use crate::command::{command, doconv, finish, folder, inside, on_cpu, photo, text};

const CATS: [&str; 3] = ["tabby", "tiger cat", "Egyptian cat"];

fn predictions(result: &Value) -> &Vec<Value> {
    result["predictions"].as_array().unwrap()
}

#[test]
fn a_cat_is_a_cat() {
    let output = doconv(&["classify", &photo("chelsea.png"), "--adapter", "cpu", "--json"]).success();
    assert_eq!(output.stderr, "");
    let json = output.json();
    assert_eq!(json["adapter"]["name"], "cpu");
    assert_eq!(json["adapter"]["type"], "cpu");
    assert_eq!((&json["model"], &json["mode"]), (&"efficientnet_lite0".into(), &"folded".into()));
    let [result] = json["results"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!(result["image"], "photos/chelsea.png");
    assert!(result["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(predictions(result).len(), 5);
    let best = &predictions(result)[0];
    assert!(CATS.contains(&best["label"].as_str().unwrap()), "{best}");
    assert!([281, 282, 285].contains(&best["class"].as_u64().unwrap()), "{best}");
}

#[test]
fn probabilities_fall_and_add_up_to_one() {
    let json = on_cpu(&["classify", &photo("coffee.png"), "--top", "5000", "--json"]).success().json();
    let probabilities: Vec<f64> =
        predictions(&json["results"][0]).iter().map(|class| class["probability"].as_f64().unwrap()).collect();
    assert_eq!(probabilities.len(), 1000);
    assert!(probabilities.is_sorted_by(|a, b| a >= b));
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-4);
    let json = on_cpu(&["classify", &photo("coffee.png"), "--top", "3", "--json"]).success().json();
    let three: Vec<f64> =
        predictions(&json["results"][0]).iter().map(|class| class["probability"].as_f64().unwrap()).collect();
    assert_eq!(three, probabilities[..3]);
    assert!(three.iter().sum::<f64>() <= 1.0);
}

#[test]
fn people_see_names_bars_and_what_computed() {
    let output = on_cpu(&["classify", &photo("chelsea.png"), &photo("rocket.jpg"), "--top", "2"]).success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((lines[0], lines[3], lines[4]), ("photos/chelsea.png", "", "photos/rocket.jpg"), "{output:?}");
    assert!(lines[1].contains('█') && lines[1].contains(" %  ") && CATS.iter().any(|cat| lines[1].contains(cat)));
    assert!(lines.last().unwrap().contains("folded mode on cpu (cpu backend, "), "{output:?}");
}

#[test]
fn the_modes_agree() {
    let probability = |mode| {
        let json = on_cpu(&["classify", &photo("chelsea.png"), "--mode", mode, "--json"]).success().json();
        assert_eq!(json["mode"], mode);
        predictions(&json["results"][0])[0]["probability"].as_f64().unwrap()
    };
    let folded = probability("folded");
    assert!((probability("kernel") - folded).abs() < 1e-3);
    assert!((probability("feature") - folded).abs() < 1e-3);
}

#[test]
fn directories_and_patterns_are_sorted_and_batches_change_nothing() {
    let names = |json: &Value| -> Vec<String> {
        json["results"].as_array().unwrap().iter().map(|result| result["image"].as_str().unwrap().into()).collect()
    };
    let all = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"].map(|name| format!("photos/{name}"));
    let json = on_cpu(&["classify", "photos", "--json"]).success().json();
    assert_eq!(names(&json), all);
    let one_by_one = on_cpu(&["classify", "photos/", "--batch", "1", "--json"]).success().json();
    assert_eq!(names(&one_by_one), all);
    for (a, b) in json["results"].as_array().unwrap().iter().zip(one_by_one["results"].as_array().unwrap()) {
        assert_eq!(predictions(a)[0]["class"], predictions(b)[0]["class"]);
    }
    let pattern = on_cpu(&["classify", "photos/c*.png", "--json"]).success().json();
    assert_eq!(names(&pattern), all[1..3]);
}

#[test]
fn content_counts_and_not_the_name() {
    let folder = folder();
    fs::copy("photos/chelsea.png", inside(&folder, "picture")).unwrap();
    fs::copy("photos/rocket.jpg", inside(&folder, "really-a-jpeg.png")).unwrap();
    fs::write(inside(&folder, "notes.txt"), "no image").unwrap();
    let json = on_cpu(&["classify", text(folder.path()), "--json"]).success().json();
    let images = json["results"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert!(images[0]["image"].as_str().unwrap().ends_with("picture"));
    assert!(CATS.contains(&predictions(&images[0])[0]["label"].as_str().unwrap()));
}

#[test]
fn one_bad_image_does_not_stop_the_others() {
    let folder = folder();
    let bad = inside(&folder, "bad.png");
    fs::write(&bad, "no image").unwrap();
    let arguments = ["classify", &photo("chelsea.png"), text(&bad), "missing.png", &photo("rocket.jpg")];
    let output = on_cpu(&[&arguments[..], &["--json"]].concat());
    assert_eq!(output.code, Some(1));
    let json = output.json();
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert!(CATS.contains(&predictions(&results[0])[0]["label"].as_str().unwrap()));
    assert!(results[1]["error"].as_str().unwrap().contains("bad.png: not an image"));
    assert!(results[1].get("predictions").is_none());
    assert!(results[2]["error"].as_str().unwrap().contains("missing.png"));
    assert_eq!(predictions(&results[3]).len(), 5);
    assert!(output.stderr.contains("error: 2 of 4 images could not be classified"), "{output:?}");

    let output = on_cpu(&arguments);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("photos/rocket.jpg"), "{output:?}");
    assert!(output.stderr.lines().all(|line| line.starts_with("error: ")), "{output:?}");
}

#[test]
fn stdin_is_an_image_too() {
    let photo = fs::File::open("photos/chelsea.png").unwrap();
    let output = command(&["classify", "-", "--adapter", "cpu", "--json"]).stdin(photo).output().unwrap();
    let json = finish(output).success().json();
    assert_eq!(json["results"][0]["image"], "-");
    assert!(CATS.contains(&predictions(&json["results"][0])[0]["label"].as_str().unwrap()));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command(&["classify", "photos", "--adapter", "cpu", "--top", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = finish(child.wait_with_output().unwrap());
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
}

#[test]
fn an_adapter_that_nobody_chose_is_named() {
    let output = doconv(&["classify", &photo("chelsea.png"), "--top", "1"]).success();
    if output.stdout.contains("on cpu (") {
        assert!(output.stderr.starts_with("no GPU found: computing on the CPU ("), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    } else {
        assert_eq!(output.stderr, "");
        assert!(output.stdout.contains(" backend, hardware)"), "{output:?}");
    }
}

/// The network that was trained here is the same by its name and as files, in every mode.
#[test]
fn the_bundled_network_for_cifar_10_is_one_in_all_its_forms() {
    let predictions = |model: &str, mode: &str| -> Vec<(String, f64)> {
        let json =
            on_cpu(&["classify", &photo("chelsea.png"), "--model", model, "--mode", mode, "--json"]).success().json();
        let list = json["results"][0]["predictions"].as_array().unwrap().clone();
        let of =
            |it: &serde_json::Value| (it["label"].as_str().unwrap().to_owned(), it["probability"].as_f64().unwrap());
        list.iter().map(of).collect()
    };
    let by_name = predictions("cifar10", "folded");
    assert!(by_name[0].0 == "cat" && by_name[0].1 > 0.7, "{by_name:?}");
    let file = |part: &str| format!("{}/models/resnet20-cifar10-{part}.safetensors", env!("CARGO_MANIFEST_DIR"));
    for (model, mode) in
        [("cifar10", "kernel"), ("cifar10", "feature"), (&file("doconv"), "folded"), (&file("folded"), "folded")]
    {
        let found = predictions(model, mode);
        assert_eq!((found.len(), by_name.len()), (5, 5));
        for ((label, probability), (wanted, expected)) in found.iter().zip(&by_name) {
            assert_eq!(label, wanted, "{model}, {mode}");
            // The folded file's kernels and the composed one's factors are rounded to half precision each by itself.
            assert!((probability - expected).abs() < 0.01, "{model}, {mode}: {label} {probability}, {expected}");
        }
    }

    // A file of that name is meant where there is one, and a folder, such as one with images, is not.
    let folder = folder();
    fs::create_dir(inside(&folder, "imagenet")).unwrap();
    fs::copy(file("folded"), inside(&folder, "cifar10")).unwrap();
    let in_folder = |name: &str| {
        let output = command(&["info", name, "--json"]).current_dir(folder.path()).output().unwrap();
        finish(output).success().json()
    };
    assert_eq!(in_folder("cifar10")["composed_layers"], 0);
    assert_eq!(in_folder("imagenet")["name"], "efficientnet_lite0");
    doconv(&["info", "cifar10", "--arch", "resnet18"]).fails_with(&["bundled", "leave out --arch resnet18"]);
    assert_eq!(doconv(&["info", "cifar10", "--json"]).success().json()["composed_layers"], 19);
}

/// A model that gives NaN for what is black, and the same number for all classes of what is white.
fn nan_for_black(file: &std::path::Path) {
    let node = |name: &str, inputs: &[&str], op| Node {
        name: name.into(),
        inputs: inputs.iter().map(|&input| input.into()).collect(),
        op,
    };
    let constant = |name: &str| node(name, &[], Op::Constant([1, 3, 1, 1]));
    let network = Network {
        version: FORMAT_VERSION,
        name: "overflows".into(),
        inputs: vec![Input::new("image", [3, 1, 1])],
        nodes: vec![
            constant("one"),
            constant("huge"),
            node("black", &["one", "image"], Op::Sub),
            node("once", &["black", "huge"], Op::Mul),
            node("twice", &["once", "huge"], Op::Mul),
            node("difference", &["twice", "twice"], Op::Sub),
            node("logits", &["difference"], Op::Flatten),
        ],
        outputs: vec!["logits".into()],
        preprocess: Some(Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [0.0; 3], std: [255.0; 3] }),
        labels: vec![],
    };
    let weights = [("one.value", 1.0), ("huge.value", 3e38)];
    let weights = weights.map(|(name, value)| (name.into(), Tensor::new([1, 3, 1, 1], vec![value; 3]).unwrap()));
    let model = Model::new(network, weights.into()).unwrap();
    fs::write(file, model.to_bytes(Dtype::F32).unwrap()).unwrap();
}

#[test]
fn an_image_without_a_best_class_is_reported_and_the_others_go_on() {
    let folder = folder();
    let (model, black, white) =
        (inside(&folder, "m.safetensors"), inside(&folder, "black.png"), inside(&folder, "white.png"));
    nan_for_black(&model);
    image::RgbImage::from_pixel(3, 3, image::Rgb([0; 3])).save(&black).unwrap();
    image::RgbImage::from_pixel(3, 3, image::Rgb([255; 3])).save(&white).unwrap();
    let wanted = [&format!("the network gives NaN for image `{}`, so there is no best class", text(&black))[..]];
    on_cpu(&["classify", text(&black), "--model", text(&model)]).fails_with(&wanted);

    let output = on_cpu(&["classify", text(&white), text(&black), text(&white), "--model", text(&model), "--json"]);
    assert_eq!(output.code, Some(1));
    let json = output.json();
    let results = json["results"].as_array().unwrap();
    assert_eq!([0, 2].map(|at| predictions(&results[at]).len()), [3, 3]);
    assert!(results[1]["error"].as_str().unwrap().starts_with(wanted[0]), "{json}");
    assert!(results[1].get("predictions").is_none());
}
