//! Files from strangers: one clear error or a result, never a panic.
#![cfg(feature = "image")]

use std::io::Cursor;

use doconv::formats::{NETWORK_KEY, read_tensors, write_tensors};
use doconv::{Dtype, Image, Model, Tensor};
use image::{DynamicImage, ImageFormat};

const NETWORK: &str = r#"{"version":1,"name":"t","inputs":[{"name":"x","shape":[1,4,4]}],"nodes":[
{"name":"c","inputs":["x"],"op":{"conv2d":{"in_channels":1,"out_channels":2,"kernel":[1,1]}}},
{"name":"r","inputs":["c"],"op":{"activation":"relu"}}],"outputs":["r"]}"#;
const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif];

fn model_file(network: &str, kernel: &[f32]) -> Vec<u8> {
    let kernel = Tensor::new([kernel.len(), 1, 1, 1], kernel.to_vec()).unwrap();
    write_tensors([("c.weight", &kernel)], &[(NETWORK_KEY.to_string(), network.to_string())].into(), Dtype::F32)
        .unwrap()
}

fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let pixel = |x, y| image::Rgb([(x * 9) as u8, (y * 11) as u8, ((x ^ y) * 5) as u8]);
    let mut bytes = Cursor::new(vec![]);
    DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, pixel)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn raw(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn model_error(bytes: &[u8]) -> String {
    Model::from_bytes("m", bytes).unwrap_err().to_string()
}

#[test]
fn every_broken_model_file_has_its_own_message() {
    let good = model_file(NETWORK, &[1.0, 2.0]);
    Model::from_bytes("m", &good).unwrap();
    let long = [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat();
    let u8s =
        |start: u64, end: u64| format!(r#""dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]"#, end - start);
    // Eight tensors that end just below 2^64, where adding anything overflows.
    let eighth = (1u64 << 61) - 1;
    let huge: Vec<String> = (0..8).map(|i| format!(r#""t{i}":{{{}}}"#, u8s(i * eighth, (i + 1) * eighth))).collect();
    let with = |from: &str, to: &str| {
        assert!(NETWORK.contains(from), "{from}");
        model_file(&NETWORK.replace(from, to), &[1.0, 2.0])
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "m: not a valid safetensors file: the file is empty"),
        (good[..5].to_vec(), "it has 5 bytes"),
        (good[..40].to_vec(), "but only 32 follow: truncated"),
        (good[..good.len() - 3].to_vec(), "tensor `c.weight` ends at byte 8 of the data, but there are only 5"),
        ([&good[..], &[0]].concat(), "its tensors take 8 bytes, but 9 follow the header"),
        (long, "its header claims 9223372036854775808 bytes, but only 2 follow"),
        (raw("{\"a\":", 0), "its header cannot be read: EOF"),
        (raw(&format!(r#"{{"a":{{{}}},"b":{{{}}}}}"#, u8s(0, 8), u8s(4, 12)), 12), "an overlap or a gap"),
        (raw(&format!("{{{}}}", huge.join(",")), 4), "but there are only 4"),
        (raw(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,4]}}"#, 4), "cannot lie at"),
        (raw(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4), "cannot lie at bytes 0 to 4"),
        (raw(r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, 4), "unknown variant `F31`"),
        (raw(r#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, 4), "tensor `a`: the element type I32"),
        (raw("{}", 0), "for a plain PyTorch state dict name the network with `--arch`"),
        (with(r#""version""#, r#"version"#), "is no valid description"),
        (with(r#""version":1"#, r#""version":9,"new":0"#), "its description has version 9"),
        (with(r#""name":"t""#, r#""name":"t","new":0"#), "unknown field `new`"),
        (with(r#""inputs":["x"]"#, r#""inputs":["r"]"#), "network node `c`: reads `r`, which is not computed before"),
        (with(r#""inputs":["c"]"#, r#""inputs":["q"]"#), "network node `r`: reads `q`, but no input or node"),
        (with(r#""outputs":["r"]"#, r#""outputs":["z"]"#), "network node `z`: an output names no node"),
        (model_file(NETWORK, &[1.0, f32::NAN]), "m: not a valid model file: tensor `c.weight`: value 1 is NaN"),
        (model_file(NETWORK, &[1.0]), "expected shape [2, 1, 1, 1], the file has [1, 1, 1, 1]"),
    ];
    for (bytes, expected) in cases {
        let error = model_error(&bytes);
        assert!(error.contains(expected) && !error.contains('\n'), "expected `{expected}`, got `{error}`");
    }
}

#[test]
fn an_unwritable_place_is_named() {
    let model = Model::from_bytes("m", &model_file(NETWORK, &[1.0, 2.0])).unwrap();
    let error = model.save("/nowhere/at/all.safetensors", Dtype::F32).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/at/all.safetensors: "), "{error}");
}

#[test]
fn every_format_is_decoded_and_every_cut_is_an_error() {
    let expected = Image::decode("p", &picture(ImageFormat::Png, 24, 17)).unwrap();
    for format in FORMATS {
        let bytes = picture(format, 24, 17);
        let image = Image::decode("p", &bytes).unwrap();
        assert_eq!((image.width(), image.height()), (24, 17));
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Gif) {
            assert!(image == expected, "{format:?}");
        }
        let half = Image::decode("p", &bytes[..bytes.len() / 2]).unwrap_err().to_string();
        assert!(half.starts_with("p: truncated or damaged"), "{format:?}: {half}");
    }
    for (bytes, reason) in
        [(&b""[..], "empty file"), (b"hello", "not an image (JPEG, PNG, WebP, BMP and GIF are read)")]
    {
        assert_eq!(Image::decode("p", bytes).unwrap_err().to_string(), format!("p: {reason}"));
    }
}

/// Reads the bytes as everything they could be.
fn read(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes("m", bytes) {
        let _ = model.fold().and_then(|model| model.fold_batch_norms());
    }
    let _ = read_tensors("t", bytes);
    let _ = Image::decode("i", bytes);
}

/// Reads every seed of the fuzz targets, and whatever is added there later.
#[test]
fn the_fuzz_corpus_is_read() {
    for target in ["model_file", "image"] {
        let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{folder} is empty");
        files.iter().for_each(|path| read(&std::fs::read(path).unwrap()));
    }
}

/// Small files that ask for much: refused, or an error when memory or the adapter says no.
#[test]
fn small_files_that_ask_for_much_are_refused() {
    let marked =
        NETWORK.replace(r#""kernel":[1,1]"#, r#""kernel":[3,3],"padding":[1,1,1,1],"doconv":{"d_mul":16777216}"#);
    let error = model_error(&model_file_of(&marked, [2, 1, 3, 3]));
    assert!(error.contains("with d_mul 16777216") && error.contains("too large"), "{error}");

    let plain = NETWORK.replace(r#""kernel":[1,1]"#, r#""kernel":[3,3]"#);
    let model = Model::from_bytes("m", &model_file_of(&plain, [2, 1, 3, 3])).unwrap();
    let error = model.expand(Some(usize::MAX), 0.0, 0).unwrap_err().to_string();
    assert!(error.contains("is not within"), "{error}");

    let padded = NETWORK.replace(r#""kernel":[1,1]"#, r#""kernel":[1,1],"padding":[524288,524288,524284,524284]"#);
    let error = model_error(&model_file_of(&padded, [2, 1, 1, 1]));
    assert!(error.contains("is empty or too large"), "{error}");
}

fn model_file_of(network: &str, kernel: [usize; 4]) -> Vec<u8> {
    let kernel = Tensor::zeros(kernel);
    write_tensors([("c.weight", &kernel)], &[(NETWORK_KEY.to_string(), network.to_string())].into(), Dtype::F32)
        .unwrap()
}
