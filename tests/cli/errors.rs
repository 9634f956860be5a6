//! What goes wrong, in one line.

use std::fs;

use crate::command::{command, doconv, finish, folder, inside, on_cpu, photo, text};

#[test]
fn images() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = inside(&folder, name);
        fs::write(&path, bytes).unwrap();
        path
    };
    on_cpu(&["classify", "nowhere.png"]).fails_with(&["nowhere.png", "No such file"]);
    on_cpu(&["classify", "nowhere.png", "--json"]).fails_with(&["nowhere.png"]);
    on_cpu(&["classify", "Cargo.toml"]).fails_with(&["Cargo.toml", "not an image"]);
    on_cpu(&["classify", text(&write("empty.png", b""))]).fails_with(&["empty.png", "empty file"]);
    let whole = fs::read("photos/chelsea.png").unwrap();
    on_cpu(&["classify", text(&write("cut.png", &whole[..whole.len() / 2]))]).fails_with(&["cut.png", "truncated"]);
    on_cpu(&["classify", "src"]).fails_with(&["src", "no images in this directory"]);
    on_cpu(&["classify", "photos/*.tiff"]).fails_with(&["photos/*.tiff", "no file matches"]);
    on_cpu(&["classify", "-", "-"]).fails_with(&["stdin can be read only once"]);
    on_cpu(&["classify", "-"]).fails_with(&["stdin: empty file"]);
}

#[test]
fn adapters() {
    let list = doconv(&["adapters", "--json"]).success().json();
    let last = list["adapters"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["name"], &last["type"]), (&"cpu".into(), &"cpu".into()));
    assert_eq!(list["adapters"][list["default"].as_u64().unwrap() as usize]["default"], true);
    let output = doconv(&["classify", &photo("chelsea.png"), "--adapter", "voodoo"]);
    output.fails_with(&["no adapter matches `voodoo`; there is: 0: ", &format!("{}: cpu", last["index"])]);
    let by_variable = command(&["classify", &photo("chelsea.png")]).env("DOCONV_ADAPTER", "voodoo").output().unwrap();
    finish(by_variable).fails_with(&["no adapter matches `voodoo`"]);
    let output = on_cpu(&["classify", &photo("chelsea.png"), "--precision", "f16-storage"]);
    output.fails_with(&[
        "the CPU path computes in f32",
        "`f16-storage` needs a GPU with `shader-f16`",
        "precision `f32`",
    ]);
    let text = doconv(&["adapters"]).success().stdout;
    assert!(text.lines().any(|line| line.starts_with("* taken by default: ")), "{text}");
}

#[test]
fn models() {
    let classify = |model: &str| on_cpu(&["classify", &photo("chelsea.png"), "--model", model]);
    classify("nowhere.safetensors").fails_with(&["nowhere.safetensors", "No such file"]);
    classify("Cargo.toml").fails_with(&["Cargo.toml"]);
    classify("model.onnx").fails_with(&["model.onnx", "No such file"]);
    classify("tests/data/onnx/names.onnx").fails_with(&["names.onnx", "does not describe its preprocessing"]);
    on_cpu(&["info", "photos/chelsea.png"]).fails_with(&["photos/chelsea.png"]);
    let folder = folder();
    let whole = fs::read("models/efficientnet-lite0-doconv.safetensors").unwrap();
    let cut = inside(&folder, "cut.safetensors");
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    classify(text(&cut)).fails_with(&["cut.safetensors"]);
}

#[test]
fn wrong_usage() {
    for arguments in [
        &["classify"][..],
        &["classify", "a.png", "--top", "0"],
        &["classify", "a.png", "--batch", "0"],
        &["classify", "a.png", "--mode", "sideways"],
        &["classify", "a.png", "--precision", "f8"],
        &["conjure"],
        &["run", "a.safetensors"],
        &["fold", "a.safetensors"],
    ] {
        let output = doconv(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{output:?}");
    }
}

#[test]
fn help_teaches() {
    let version = doconv(&["--version"]).success().stdout;
    assert_eq!(version, format!("doconv {}\n", env!("CARGO_PKG_VERSION")));
    for name in ["classify", "run", "layer", "info", "adapters", "fold", "expand", "bench"] {
        let help = doconv(&[name, "--help"]).success().stdout;
        assert!(help.contains(&format!("Examples:\n  doconv {name}")), "{help}");
    }
    let bare = doconv(&[]);
    assert!(bare.stderr.contains("Usage: doconv"), "{bare:?}");
}
