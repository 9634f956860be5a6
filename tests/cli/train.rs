//! `doconv train`.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doconv::network::{Activation, BatchNorm, Conv2d, FORMAT_VERSION, Input, Linear, Node, Op};
use doconv::training::data::{Shaping, Source};
use doconv::training::{Comparison, Run, TrainingLoop, with_classes};
use doconv::{Adapter, Dtype, Model, Network, Tensor};
use image::{Rgb, RgbImage};
use pollster::block_on;

use crate::command::{command, finish, folder, on_cpu, text};

/// Pictures of disks, squares and stripes, in all colours.
fn picture(path: &Path, class: usize, index: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (size, centre, radius) = (20 + index % 5, 8 + index % 5, 4 + index % 3);
    let colour = Rgb([(60 * index) as u8 | 64, (100 * index) as u8 | 32, (37 * index) as u8 | 128]);
    let inside = |x: u32, y: u32| {
        let (dx, dy) = (x.abs_diff(centre), y.abs_diff(centre));
        match class {
            0 => dx * dx + dy * dy <= radius * radius,
            1 => dx <= radius && dy <= radius && (dx >= radius - 1 || dy >= radius - 1),
            _ => y % 4 < 2,
        }
    };
    RgbImage::from_fn(size, size, |x, y| if inside(x, y) { colour } else { Rgb([8, 8, 8]) }).save(path).unwrap();
}

const CLASSES: [&str; 3] = ["disk", "frame", "stripes"];

fn pictures(root: &Path) {
    for (class, name) in CLASSES.into_iter().enumerate() {
        for index in 0..30 {
            let split = if index < 24 { "train" } else { "val" };
            picture(&root.join(split).join(name).join(format!("{index}.png")), class, index);
        }
    }
}

/// Two convolutions with norms, small enough for a test.
fn network() -> Network {
    let node = |name: &str, input: &str, op: Op| Node { name: name.into(), inputs: vec![input.into()], op };
    let conv = |inputs, outputs| {
        Op::Conv2d(Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::new(inputs, outputs, [3, 3]) })
    };
    let norm = |channels| Op::BatchNorm(BatchNorm { channels, eps: 1e-5 });
    Network {
        version: FORMAT_VERSION,
        name: "small".into(),
        inputs: vec![Input::new("image", [3, 20, 20])],
        nodes: vec![
            node("conv1", "image", conv(3, 8)),
            node("bn1", "conv1", norm(8)),
            node("relu1", "bn1", Op::Activation(Activation::Relu)),
            node("conv2", "relu1", conv(8, 16)),
            node("bn2", "conv2", norm(16)),
            node("relu2", "bn2", Op::Activation(Activation::Relu)),
            node("pool", "relu2", Op::GlobalAvgPool),
            node("fc", "pool", Op::Linear(Linear { in_features: 16, out_features: 5, bias: true })),
        ],
        outputs: vec!["fc".into()],
        preprocess: None,
        labels: vec![],
    }
}

fn write_model(path: &Path) {
    let model = Model::initialised(network(), 4).unwrap();
    std::fs::write(path, model.to_bytes(Dtype::F32).unwrap()).unwrap();
}

#[test]
fn pictures_of_three_kinds_are_told_apart_afterwards() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init, out, log) = (at("set"), at("small.safetensors"), at("out.safetensors"), at("log.jsonl"));
    let common = ["train", "--data", text(&data), "--init", text(&init), "--out", text(&out), "--batch", "12"];
    let more = ["--epochs", "20", "--lr", "0.1", "--log", text(&log), "--json"];
    let trained = on_cpu(&[&common[..], &more].concat()).success();
    let document = trained.json();
    assert_eq!(document["epochs"], 20);
    assert!(document["validation_accuracy"].as_f64().unwrap() > 0.85, "{document}");
    assert!(document["train_loss"].as_f64().unwrap() < 0.5 && document["images_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(document["out"], text(&out));
    assert!(trained.stderr.contains("3 classes, 72 images to learn from, 18 for validation, 3×20×20"), "{trained:?}");
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 20);
    assert!(lines.lines().next().unwrap().contains("\"epoch\":1"));

    // What lies beside it is folded, and says what is in pictures.
    let folded = Model::open(at("out.folded.safetensors")).unwrap();
    assert!(!folded.is_composed() && Model::open(&out).unwrap().is_composed());
    assert_eq!(folded.network().labels, CLASSES);
    let held: Vec<String> = CLASSES.iter().map(|class| format!("{}/val/{class}/24.png", text(&data))).collect();
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let model = at("out.folded.safetensors");
    let classified =
        on_cpu(&[&["classify", "--json", "--top", "1", "--model", text(&model)], &held[..]].concat()).success();
    let classified = classified.json();
    let right = CLASSES
        .iter()
        .enumerate()
        .filter(|(index, class)| classified["results"][index]["predictions"][0]["label"] == **class);
    assert!(right.count() >= 2, "{classified}");

    // Fine-tuning: only the last layer.
    let tuned = at("tuned.safetensors");
    let tune = ["train", "--data", text(&data), "--init", text(&out), "--out", text(&tuned), "--freeze", "backbone"];
    on_cpu(&[&tune[..], &["--epochs", "1", "--batch", "12", "--seed", "9"]].concat()).success();
    let [before, after] = [&out, &tuned].map(|path| Model::open(path).unwrap());
    for (name, tensor) in before.weights() {
        assert_eq!(after.weights()[name] == *tensor, !name.starts_with("fc."), "{name}");
    }
}

/// Batches in parts and bounded gradients, from the bundled network for small pictures.
#[test]
fn a_bundled_network_learns_other_classes() {
    let folder = folder();
    let (data, out) = (folder.path().join("set"), folder.path().join("out.safetensors"));
    pictures(&data);
    let common = ["train", "--init", "cifar10", "--data", text(&data), "--out", text(&out), "--batch", "24"];
    let more = ["--accumulate", "3", "--clip-norm", "1", "--lr", "0.02", "--epochs", "4", "--json"];
    let trained = on_cpu(&[&common[..], &more].concat()).success();
    assert!(trained.stderr.contains("3×32×32") && trained.stderr.contains("batches of 24"), "{trained:?}");
    assert!(trained.json()["validation_accuracy"].as_f64().unwrap() > 0.6, "{trained:?}");
    let model = Model::open(&out).unwrap();
    assert!(model.is_composed());
    assert_eq!(model.network().labels, CLASSES);
    on_cpu(&[&common[..], &["--accumulate", "5"]].concat()).fails_with_last(&["24 images has no 5 equal parts"]);
    on_cpu(&[&common[..], &["--clip-norm", "-1"]].concat()).fails_with_last(&["norm of gradients of -1"]);
}

/// Whenever it is killed, what is there is whole, and leads to the same network.
#[test]
fn killed_and_resumed_it_ends_as_if_nothing_had_been() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init) = (at("set"), at("small.safetensors"));
    let (whole, parts, checkpoint) =
        (at("whole.safetensors"), at("parts.safetensors"), at("parts.checkpoint.safetensors"));
    let arguments = |out: &Path| {
        let fixed = ["train", "--batch", "6", "--epochs", "30", "--checkpoint-every", "0"].map(str::to_owned);
        let named = [("--data", &*data), ("--init", &*init), ("--out", out)];
        fixed
            .into_iter()
            .chain(named.iter().flat_map(|(flag, path)| [flag.to_string(), text(path).to_owned()]))
            .collect()
    };
    let run = |arguments: Vec<String>| on_cpu(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run(arguments(&whole)).success();

    let first: Vec<String> = arguments(&parts);
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let mut child =
        command(&first).env("DOCONV_ADAPTER", "cpu").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resume = ["train", "--resume", text(&checkpoint), "--data", text(&data), "--out", text(&parts)];
    on_cpu(&resume).success();
    let [whole, parts] = [&whole, &parts].map(|path| std::fs::read(path).unwrap());
    assert!(whole == parts, "another network");
}

/// By Ctrl-C, and as batch systems and containers end what they run.
#[cfg(unix)]
#[test]
fn interrupted_it_says_how_to_go_on() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        interrupted_by(signal, status);
    }
}

#[cfg(unix)]
fn interrupted_by(signal: &str, status: i32) {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init, out) = (at("set"), at("small.safetensors"), at("out.safetensors"));
    let arguments = ["train", "--data", text(&data), "--init", text(&init), "--out", text(&out), "--epochs", "100000"];
    let child =
        command(&arguments).env("DOCONV_ADAPTER", "cpu").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoint = at("out.checkpoint.safetensors");
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = format!("kill -{signal} {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let finished = finish(child.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(status), "{finished:?}");
    assert!(
        finished.stderr.contains("--resume") && finished.stderr.contains("out.checkpoint.safetensors"),
        "{finished:?}"
    );
    assert!(!out.exists());
}

#[test]
fn what_cannot_be_trained_is_said_in_one_line() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("nothing")).unwrap();
    let (nothing, out) = (at("nothing"), at("out.safetensors"));
    let train = |more: &[&str]| on_cpu(&[&["train", "--out", text(&out)], more].concat());
    train(&["--arch", "resnet20", "--data", text(&nothing)]).fails_with(&["nothing", "no data set is recognised"]);
    train(&["--arch", "resnet21", "--data", text(&nothing)]).fails_with(&["no data set"]);
    train(&["--arch", "resnet20", "--data", "/nowhere"]).fails_with(&["/nowhere", "No such file"]);
    pictures(&at("set"));
    let set = at("set");
    train(&["--arch", "resnet21", "--data", text(&set)]).fails_with(&["no architecture is called `resnet21`"]);
    train(&["--init", text(&set.join("val/disk/24.png")), "--data", text(&set)]).fails_with(&["24.png"]);
    train(&["--resume", "photos/chelsea.png", "--data", text(&set)]).fails_with(&["chelsea.png"]);
    let missing = folder.path().join("missing/out.safetensors");
    on_cpu(&["train", "--arch", "resnet20", "--data", text(&set), "--out", text(&missing)])
        .fails_with(&["no directory"]);
    train(&["--arch", "resnet20", "--data", text(&set), "--optimiser", "adamw", "--momentum", "0.8"])
        .fails_with_last(&["--momentum 0.8", "adamw"]);
    let usage = train(&["--data", text(&set)]);
    assert_eq!(usage.code, Some(2));
    assert!(usage.stderr.contains("--arch"), "{usage:?}");
    let usage = train(&["--data", text(&set), "--resume", "x", "--lr", "1"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn a_comparison_has_every_seed_once() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init, out) = (at("set"), at("small.safetensors"), at("compare"));
    let common = ["train", "--compare", "--data", text(&data), "--init", text(&init), "--out", text(&out)];
    let compare = |more: &[&str]| on_cpu(&[&common[..], &["--batch", "12", "--epochs", "2"], more].concat());
    let first = compare(&["--seeds", "1", "--json"]).success().json();
    assert_eq!(first["runs"].as_array().unwrap().len(), 2);
    let second = compare(&["--seeds", "2"]).success();
    assert!(second.stderr.contains("2 runs are there already"), "{second:?}");
    assert!(second.stdout.contains("| plain | 2 |") && second.stdout.contains("| DO-Conv | 2 |"), "{second:?}");
    assert_eq!(std::fs::read_to_string(at("compare.md")).unwrap(), second.stdout);
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(at("compare.json")).unwrap()).unwrap();
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs[..2], first["runs"].as_array().unwrap()[..]);
    let made: Vec<(&str, u64)> =
        runs.iter().map(|run| (run["kind"].as_str().unwrap(), run["seed"].as_u64().unwrap())).collect();
    assert_eq!(made, [("plain", 0), ("doconv", 0), ("plain", 1), ("doconv", 1)]);
    // Both begin with the same function and see the same images: the first losses are close.
    let loss = |run: usize| runs[run]["epochs"][0]["train_loss"].as_f64().unwrap();
    assert!((loss(0) - loss(1)).abs() < 0.2 * loss(0), "{record}");
    assert!(std::fs::read_to_string(at("compare.html")).unwrap().contains("<polyline"));
    // The best of the two is there, and is as right as the record says.
    let of = |run: usize| runs[run]["epochs"][1]["validation_accuracy"].as_f64().unwrap();
    let best = of(1).max(of(3));
    let pictures: Vec<_> = CLASSES.iter().map(|class| at("set").join("val").join(class)).collect();
    let (model, folded) = (at("compare.safetensors"), at("compare.folded.safetensors"));
    assert!(Model::open(&model).unwrap().is_composed());
    let classify = ["classify", "--top", "1", "--json", "--model", text(&folded)];
    let told = on_cpu(&[&classify[..], &pictures.iter().map(|path| text(path)).collect::<Vec<_>>()].concat()).success();
    let told = told.json();
    let results = told["results"].as_array().unwrap();
    let is_right = |result: &&serde_json::Value| {
        let (image, label) = (result["image"].as_str().unwrap(), result["predictions"][0]["label"].as_str().unwrap());
        Path::new(image).parent().unwrap().ends_with(label)
    };
    let right = results.iter().filter(is_right).count();
    assert_eq!((results.len(), right as f64 / 18.0), (18, best), "{told}");
    assert!(!at("compare.checkpoint.safetensors").exists());
    compare(&["--seeds", "2", "--lr", "0.5"]).fails_with_last(&["compare.json", "weights, data or settings"]);
}

/// Runs count again only where everything is as it was, and a checkpoint only for its own run.
#[test]
fn a_comparison_is_of_one_thing() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init, out) = (at("set"), at("small.safetensors"), at("lr0.1"));
    let run = |init: &Path, more: &[&str]| {
        let common = ["train", "--compare", "--data", text(&data), "--init", text(init), "--out", text(&out)];
        on_cpu(&[&common[..], &["--batch", "12", "--epochs", "1"], more].concat())
    };
    // Also with a frozen backbone, which is W and D in one of the two.
    run(&init, &["--seeds", "1", "--freeze", "backbone"]).success();
    assert!(at("lr0.1.json").exists() && at("lr0.1.html").exists() && !at("lr0.json").exists());
    let other = at("other.safetensors");
    std::fs::write(&other, Model::initialised(network(), 5).unwrap().to_bytes(Dtype::F32).unwrap()).unwrap();
    let refusal = ["lr0.1.json", "another network, other weights, data or settings", "--out"];
    run(&other, &["--freeze", "backbone"]).fails_with_last(&refusal);
    run(&init, &["--freeze", "backbone", "--d-mul", "12"]).fails_with_last(&refusal);
    run(&init, &["--seeds", "1", "--freeze", "backbone"]).success();
    let picture = data.join("train/disk/0.png");
    let original = std::fs::read(&picture).unwrap();
    std::fs::copy(data.join("train/disk/1.png"), &picture).unwrap();
    run(&init, &["--freeze", "backbone"]).fails_with_last(&refusal);

    // What only one of the two has cannot be frozen in both, and that is said before anything is trained.
    let record = std::fs::read(at("lr0.1.json")).unwrap();
    run(&init, &["--freeze", "*.D"]).fails_with_last(&["plain", "nothing is called `*.D`"]);
    run(&init, &["--freeze", "conv1.weight"]).fails_with_last(&["DO-Conv", "nothing is called `conv1.weight`"]);
    run(&init, &["--seed", "18446744073709551615", "--seeds", "2"]).fails_with_last(&["no 2 seeds"]);
    assert_eq!(std::fs::read(at("lr0.1.json")).unwrap(), record);
    // Somebody else's files.
    std::fs::remove_file(at("lr0.1.json")).unwrap();
    run(&init, &[]).fails_with_last(&["lr0.1.md", "is there already", "--out"]);
    for name in ["lr0.1.md", "lr0.1.html"] {
        std::fs::remove_file(at(name)).unwrap();
    }
    run(&init, &[]).fails_with_last(&["lr0.1.safetensors", "is there already", "--out"]);
    // Nor is it overwritten where a record is, but of a version that kept no networks.
    let mut older: serde_json::Value = serde_json::from_slice(&record).unwrap();
    older.as_object_mut().unwrap().remove("kept").expect("it says which it kept");
    std::fs::write(at("lr0.1.json"), older.to_string()).unwrap();
    std::fs::write(&picture, original).unwrap();
    run(&init, &["--seeds", "1", "--freeze", "backbone"]).fails_with_last(&[
        "lr0.1.safetensors",
        "is there already",
        "lr0.1.json",
    ]);
}

/// Also where the file to begin with has the constant part of D by itself, as those of the authors' code.
#[test]
fn a_comparison_goes_on_in_the_middle_of_a_run() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    let source = Source::find(at("set")).unwrap();
    let model = Model::initialised(with_classes(network(), source.classes()).unwrap(), 4).unwrap();
    let composed = model.expand(None, 0.0, 0).unwrap();
    let mut weights = composed.weights().clone();
    for (name, d) in composed.weights().iter().filter(|(name, _)| name.ends_with(".D")) {
        let [_, taps, columns] = d.shape()[..] else { panic!("{name}: {:?}", d.shape()) };
        let identity = (0..d.data().len()).map(|at| f32::from(u8::from(at / columns % taps == at % columns)));
        let constant = Tensor::new(d.shape().to_vec(), identity.collect()).unwrap();
        weights.insert(name.replace(".D", ".d_diag"), constant);
    }
    let shaping = Shaping::new([3, 20, 20], None).unwrap();
    let model = Model::new(composed.network().clone(), weights).unwrap();
    let model = model.with_preprocess(Some(shaping.preprocess.clone())).unwrap();
    std::fs::write(at("init.safetensors"), model.to_bytes(Dtype::F32).unwrap()).unwrap();
    let (data, init, out) = (at("set"), at("init.safetensors"), at("compare"));
    let common = ["train", "--compare", "--data", text(&data), "--init", text(&init), "--out", text(&out)];
    let compare = || on_cpu(&[&common[..], &["--batch", "12", "--epochs", "2", "--seeds", "1"]].concat()).success();
    compare();

    // As it is left when the second run is interrupted.
    let mut record: Comparison = serde_json::from_slice(&std::fs::read(at("compare.json")).unwrap()).unwrap();
    let whole = record.runs.pop().unwrap();
    let data = Arc::new(source.load(&shaping, None, || {}).unwrap());
    let adapter = Adapter::cpu();
    let mut training = block_on(TrainingLoop::new(&adapter, &model, data, record.settings.clone())).unwrap();
    block_on(training.advance(Duration::ZERO)).unwrap();
    std::fs::write(at("compare.checkpoint.safetensors"), block_on(training.checkpoint()).unwrap()).unwrap();
    std::fs::write(at("compare.json"), serde_json::to_vec(&record).unwrap()).unwrap();
    compare();
    let record: Comparison = serde_json::from_slice(&std::fs::read(at("compare.json")).unwrap()).unwrap();
    let losses =
        |run: &Run| run.epochs.iter().map(|epoch| (epoch.train_loss, epoch.validation_loss)).collect::<Vec<_>>();
    assert_eq!(losses(&record.runs[1]), losses(&whole));
}

#[test]
fn nothing_that_is_there_is_lost() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    write_model(&at("small.safetensors"));
    let (data, init, log) = (at("set"), at("small.safetensors"), at("log.jsonl"));
    let run = |out: &str, more: &[&str]| {
        let common = ["train", "--data", text(&data), "--init", text(&init), "--batch", "12", "--log", text(&log)];
        let out = at(out);
        on_cpu(&[&common[..], &["--out", text(&out)], more].concat())
    };
    // Names with dots are names.
    run("lr0.1", &["--epochs", "1"]).success();
    run("lr0.01", &["--epochs", "1"]).success();
    for name in ["lr0.1", "lr0.1.folded.safetensors", "lr0.01.folded.safetensors", "lr0.1.checkpoint.safetensors"] {
        assert!(at(name).exists(), "{name}");
    }
    assert!(!at("lr0.folded.safetensors").exists());
    run("x.onnx", &[]).fails_with(&["x.onnx", "doconv fold"]);

    let own = at("own.folded.safetensors");
    let out = at("own.safetensors");
    let arguments = ["train", "--data", text(&data), "--init", text(&init), "--out", text(&out)];
    on_cpu(&[&arguments[..], &["--log", text(&own)]].concat()).fails_with(&["own.folded.safetensors", "overwritten"]);

    // Going on adds what the log lacks, once.
    std::fs::remove_file(&log).unwrap();
    run("long.safetensors", &["--epochs", "3"]).success();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 3);
    let second = lines.lines().nth(1).unwrap().to_owned();
    std::fs::write(&log, lines.lines().next().unwrap().to_owned() + "\n" + &second[..20]).unwrap();
    let checkpoint = at("long.checkpoint.safetensors");
    let resume = |more: &[&str]| {
        let common = ["train", "--resume", text(&checkpoint), "--data", text(&data), "--log", text(&log)];
        command(&[&common[..], more].concat()).current_dir(folder.path()).env("DOCONV_ADAPTER", "cpu").output().unwrap()
    };
    let resumed = finish(resume(&["--epochs", "4"])).success();
    assert!(resumed.stderr.contains("long.folded.safetensors"), "called as before: {resumed:?}");
    let after = std::fs::read_to_string(&log).unwrap();
    let of_epochs: Vec<u64> = after
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["epoch"].as_u64())
        .collect();
    assert_eq!(of_epochs, [1, 2, 3, 4], "{after}");
    assert!(after.contains(&second), "to the letter");
    assert!(finish(resume(&["--epochs", "2"])).success().stderr.contains("4 epochs are done already"));

    // A run that has not ended stays.
    let bytes = std::fs::read(&checkpoint).unwrap();
    let unfinished = doconv::formats::read_tensors("here", &bytes).unwrap();
    let (tensors, mut metadata) = unfinished;
    let entry = metadata.get_mut("doconv.training").unwrap();
    assert!(entry.contains("\"settings\":{\"epochs\":4"), "{entry}");
    *entry = entry.replace("\"settings\":{\"epochs\":4", "\"settings\":{\"epochs\":9");
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    std::fs::write(&checkpoint, doconv::formats::write_tensors(named, &metadata, Dtype::F32).unwrap()).unwrap();
    run("long.safetensors", &[]).fails_with(&["long.checkpoint.safetensors", "4 of 9 epochs", "--resume"]);
    let begin = ["train", "--init", text(&checkpoint), "--data", text(&data), "--out", text(&out)];
    on_cpu(&begin).fails_with_last(&["long.checkpoint.safetensors", "--resume"]);
}

/// What other programs made is begun with as it is converted.
#[test]
fn training_begins_with_what_every_command_reads() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("set"));
    let (data, out, onnx) = (at("set"), at("out.safetensors"), at("small.onnx"));
    write_model(&at("small.safetensors"));
    on_cpu(&["fold", text(&at("small.safetensors")), text(&onnx)]).success();
    let train = |init: &Path, more: &[&str]| {
        let common = ["train", "--data", text(&data), "--init", text(init), "--out", text(&out), "--epochs", "1"];
        on_cpu(&[&common[..], more].concat())
    };
    train(&onnx, &["--freeze", "backbone"]).success();
    assert_eq!(Model::open(&out).unwrap().network().labels, CLASSES);
    let zoo = Model::initialised(doconv::network::zoo::build("resnet20").unwrap(), 2).unwrap();
    let named = zoo.weights().iter().map(|(name, tensor)| (name.as_str(), tensor));
    let weights = at("weights.safetensors");
    std::fs::write(&weights, doconv::formats::write_tensors(named, &Default::default(), Dtype::F32).unwrap()).unwrap();
    train(&weights, &[]).fails_with_last(&["weights.safetensors", "--arch"]);
    train(&weights, &["--arch", "resnet20"]).success();
    train(&out, &["--d-mul", "12"]).fails_with_last(&["--d-mul 12", "has none to expand"]);

    // A network that sees no colours is shown none, then and afterwards.
    let grey = at("grey.safetensors");
    let arguments = ["train", "--arch", "mnist_sample", "--data", text(&data), "--out", text(&grey), "--epochs", "1"];
    assert!(on_cpu(&arguments).success().stderr.contains("1×28×28"));
    let (folded, picture) = (at("grey.folded.safetensors"), data.join("val/disk/24.png"));
    let classified = on_cpu(&["classify", text(&picture), "--model", text(&folded), "--json"]).success().json();
    assert_eq!(classified["results"][0]["predictions"].as_array().unwrap().len(), 3, "{classified}");
}
