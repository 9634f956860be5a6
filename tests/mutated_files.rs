//! Ten thousand broken model files and as many broken images: one clear error or a result, never a panic, and no
//! absurd allocation.
//!
//! Most random damage is caught by the first check of a container. So the damage here is mostly done to what a
//! container holds, and the container made whole again; the tests count how much of it gets through.
#![cfg(feature = "image")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use doconv::formats::{NETWORK_KEY, read_tensors, write_tensors};
use doconv::plan::Plan;
use doconv::{Dtype, Image, Mode, Model, Tensor};
use image::{DynamicImage, ImageFormat};
use oorandom::Rand64;
use serde_json::{Map, Value, json};

const CASES: u64 = 10_000;
/// A PNG of the size of the largest one here could really hold 25 megapixels of 8 bytes; nothing may ask for more.
const ABSURD_BYTES: usize = 256 << 20;

/// The system's allocator, which notes the largest request.
struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// A random number below `end`, or 0.
fn below(random: &mut Rand64, end: usize) -> usize {
    random.rand_range(0..end.max(1) as u64) as usize
}

fn pick<'a, T>(random: &mut Rand64, from: &'a [T]) -> &'a T {
    &from[below(random, from.len())]
}

/// Flips bits, cuts, repeats, and overwrites.
fn mutate_bytes(random: &mut Rand64, bytes: &mut Vec<u8>) {
    let at = below(random, bytes.len());
    match below(random, 8) {
        _ if bytes.is_empty() => bytes.push(below(random, 256) as u8),
        0 => bytes.truncate(at),
        1 => {
            let piece = bytes[at..(at + 16).min(bytes.len())].to_vec();
            let to = below(random, bytes.len());
            bytes.splice(to..to, piece);
        }
        2 | 3 => bytes[at] = *pick(random, &[0, 1, 0x7f, 0x80, 0xff]),
        _ => bytes[at] ^= 1 << below(random, 8),
    }
}

/// A network with every kind of layer, composed and folded.
fn network() -> Value {
    let conv = |inputs: usize, outputs: usize, kernel: usize, more: Value| {
        let mut op = json!({"in_channels": inputs, "out_channels": outputs, "kernel": [kernel, kernel],
            "padding": vec![kernel / 2; 4]});
        op.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"conv2d": op})
    };
    let node = |name: &str, inputs: &[&str], op: Value| json!({"name": name, "inputs": inputs, "op": op});
    json!({
        "version": 1,
        "name": "every layer",
        "inputs": [{"name": "x", "shape": [3, 12, 12]}],
        "nodes": [
            node("c1", &["x"], conv(3, 8, 3, json!({"stride": [2, 2], "doconv": {"d_mul": 9}}))),
            node("bn", &["c1"], json!({"batch_norm": {"channels": 8, "eps": 0.001}})),
            node("a", &["bn"], json!({"activation": "relu6"})),
            node("dw", &["a"], conv(8, 8, 3, json!({"groups": 8, "bias": true, "doconv": {"d_mul": 12}}))),
            node("gap", &["dw"], json!("global_avg_pool")),
            node("se", &["gap"], conv(8, 8, 1, json!({"bias": true}))),
            node("hs", &["se"], json!({"activation": "hard_sigmoid"})),
            node("mul", &["dw", "hs"], json!("mul")),
            node("add", &["mul", "a"], json!("add")),
            node("mp", &["add"], json!({"max_pool": {"kernel": [2, 2], "stride": [2, 2]}})),
            node("ap", &["mp"], json!({"avg_pool": {"kernel": [3, 3], "padding": [1, 1, 1, 1]}})),
            node("cat", &["mp", "ap"], json!("concat")),
            node("g", &["cat"], conv(16, 8, 3, json!({"groups": 2, "dilation": [1, 1],
                "doconv": {"d_mul": 9, "pairing": "torch"}}))),
            node("gm", &["g"], json!("global_max_pool")),
            node("fl", &["gm"], json!("flatten")),
            node("fc", &["fl"], json!({"linear": {"in_features": 8, "out_features": 5, "bias": true}})),
            node("sm", &["fc"], json!("softmax")),
            node("t", &["mp"], json!({"conv_transpose2d": {"in_channels": 8, "out_channels": 4, "kernel": [3, 2],
                "stride": [2, 1], "padding": [1, 0, 1, 1], "output_padding": [1, 0], "groups": 2, "bias": true}})),
            node("pad", &["t"], json!({"pad": {"before": [0, 0, 1, 2], "after": [0, 1, 1, 0], "mode": "replicate"}})),
            node("rs", &["pad"], json!({"resize": {"size": [5, 7], "scale": [1.5, 1.25], "interpolation": "linear"}})),
            node("cu", &["rs"], json!({"resize": {"size": [4, 4], "interpolation": {"cubic": -0.75},
                "coordinates": "align_corners"}})),
            node("lrn", &["cu"], json!({"lrn": {"size": 3, "alpha": 0.1, "beta": 0.75, "k": 1.0}})),
            node("tr", &["lrn"], json!({"transpose": [0, 2, 1, 3]})),
            node("sl", &["tr"], json!({"slice": {"start": [0, 0, 4, 0], "step": [1, 1, -2, 1],
                "count": [1, 4, 3, 4]}})),
            node("re", &["sl"], json!({"reshape": [2, 6, 2, 2]})),
            node("k", &[], json!({"constant": [1, 6, 1, 2]})),
            node("sub", &["re", "k"], json!("sub")),
            node("div", &["sub", "k"], json!("div")),
            node("pre", &["div", "k"], json!("prelu")),
            node("lk", &["pre"], json!({"activation": {"leaky_relu": {"slope": 0.1}}})),
            node("cl", &["lk"], json!({"activation": {"clip": {"min": -1.0, "max": 2.0}}})),
            node("cr", &["cl"], conv(6, 4, 3, json!({"padding_mode": "circular", "doconv": {"d_mul": 9}}))),
            node("ls", &["cr"], json!("log_softmax")),
        ],
        "outputs": ["fc", "sm", "ls"],
        "preprocess": {"crop_fraction": 0.875, "filter": "bicubic", "mean": [127, 127, 127], "std": [128, 128, 128]},
        "labels": ["a", "b", "c", "d", "e"],
    })
}

fn weights() -> BTreeMap<&'static str, Tensor> {
    let tensor = |shape: &[usize]| {
        let count: usize = shape.iter().product();
        Tensor::new(shape.to_vec(), (0..count).map(|i| (i % 7) as f32 * 0.25 + 0.5).collect()).unwrap()
    };
    BTreeMap::from([
        ("c1.W", tensor(&[8, 3, 9])),
        ("c1.D", tensor(&[3, 9, 9])),
        ("bn.weight", tensor(&[8])),
        ("bn.bias", tensor(&[8])),
        ("bn.running_mean", tensor(&[8])),
        ("bn.running_var", tensor(&[8])),
        ("dw.W", tensor(&[8, 1, 12])),
        ("dw.D", tensor(&[8, 9, 12])),
        ("dw.bias", tensor(&[8])),
        ("se.weight", tensor(&[8, 8, 1, 1])),
        ("se.bias", tensor(&[8])),
        ("g.W", tensor(&[8, 8, 9])),
        ("g.D", tensor(&[16, 9, 9])),
        ("fc.weight", tensor(&[5, 8])),
        ("fc.bias", tensor(&[5])),
        ("t.weight", tensor(&[8, 2, 3, 2])),
        ("t.bias", tensor(&[4])),
        ("k.value", tensor(&[1, 6, 1, 2])),
        ("cr.W", tensor(&[4, 6, 9])),
        ("cr.D", tensor(&[6, 9, 9])),
    ])
}

fn model_file(network: String) -> Vec<u8> {
    let weights = weights();
    let tensors = weights.iter().map(|(name, tensor)| (*name, tensor));
    write_tensors(tensors, &[(NETWORK_KEY.to_string(), network)].into(), Dtype::F32).unwrap()
}

/// The places of all values, as JSON pointers.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| places(field, format!("{at}/{}", key.replace('/', "~1")), found));
        }
        _ => {}
    }
    found.push(at);
}

/// Changes one value to another that may mean something, or the structure around it.
fn mutate_json(random: &mut Rand64, json: &mut Value) {
    let mut found = vec![];
    places(json, String::new(), &mut found);
    let other = json.pointer(pick::<String>(random, &found)).unwrap().clone();
    let strings: Vec<String> =
        found.iter().filter_map(|at| json.pointer(at).unwrap().as_str().map(str::to_string)).collect();
    let value = json.pointer_mut(pick::<String>(random, &found)).unwrap();
    match value {
        Value::Number(number) => {
            let near = number.as_i64().unwrap_or(0);
            let numbers = [
                json!(0),
                json!(1),
                json!(2),
                json!(near + 1),
                json!(near - 1),
                json!(near * 2),
                json!(-1),
                json!(0.5),
                json!(1e300),
                json!(1e-300),
                json!(65_536),
                json!(1u64 << 31),
                json!(u64::from(u32::MAX)),
                json!(1u64 << 53),
                json!(1u64 << 63),
                json!(u64::MAX),
            ];
            *value = pick(random, &numbers).clone();
        }
        Value::String(text) => *text = pick(random, &strings).clone(),
        Value::Bool(flag) => *flag = !*flag,
        Value::Array(items) if !items.is_empty() => {
            let (at, to) = (below(random, items.len()), below(random, items.len()));
            match below(random, 4) {
                0 => items.swap(at, to),
                1 => drop(items.remove(at)),
                2 => items.insert(to, items[at].clone()),
                _ => items[at] = other,
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let (key, twin) = (pick(random, &keys), pick(random, &keys));
            match below(random, 4) {
                0 => drop(fields.remove(key)),
                1 => rename(fields, key, pick::<String>(random, &strings)),
                2 => fields.extend([(key.clone(), fields[twin].clone())]),
                _ => fields.extend([(key.clone(), other)]),
            }
        }
        _ => *value = other,
    }
    if below(random, 20) == 0 {
        let at = pick::<String>(random, &found).clone();
        if let Some(value) = json.pointer_mut(&at) {
            *value = pick(random, &[json!(null), json!([]), json!({}), json!(""), json!(true)]).clone();
        }
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.into(), value);
    }
}

/// Gives some key the name of another, which may make it the second of that name.
fn repeat_key(random: &mut Rand64, text: &str) -> String {
    let parts: Vec<&str> = text.split('"').collect();
    let keys: Vec<usize> = (1..parts.len() - 1).step_by(2).filter(|&at| parts[at + 1].starts_with(':')).collect();
    let (Some(&to), from) = (keys.get(below(random, keys.len())), below(random, keys.len())) else {
        return text.into();
    };
    let mut parts = parts.clone();
    parts[to] = parts[keys[from]];
    parts.join("\"")
}

/// A model file with something wrong in its description, its table of tensors, or its bytes.
fn mutated_model(random: &mut Rand64) -> Vec<u8> {
    let mut description = network();
    let kind = below(random, 10);
    if kind < 6 {
        for _ in 0..=below(random, 2) {
            mutate_json(random, &mut description);
        }
    }
    let text = description.to_string();
    let mut bytes = model_file(if kind == 6 { repeat_key(random, &text) } else { text });
    if kind == 7 {
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let mut table: Value = serde_json::from_slice(header).unwrap();
        mutate_json(random, &mut table);
        let header = table.to_string();
        bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    } else if kind > 7 {
        mutate_bytes(random, &mut bytes);
    }
    bytes
}

/// Runs `check` on every seed, and counts what it returns.
fn on_every_seed(
    check: impl Fn(&mut Rand64) -> &'static str + std::panic::RefUnwindSafe,
) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for seed in 0..CASES {
        let outcome = catch_unwind(|| check(&mut Rand64::new(u128::from(seed))));
        *counts.entry(outcome.unwrap_or_else(|_| panic!("seed {seed} panics"))).or_insert(0) += 1;
    }
    let largest = LARGEST.load(Ordering::Relaxed);
    println!("{counts:?}, largest allocation {largest} bytes");
    assert!(largest < ABSURD_BYTES, "something allocates {largest} bytes at once");
    counts
}

#[test]
fn mutated_models_are_refused_or_planned() {
    Model::from_bytes("m", &model_file(network().to_string())).unwrap();
    let counts = on_every_seed(|random| {
        let bytes = mutated_model(random);
        let whole = read_tensors("t", &bytes).is_ok();
        let Ok(model) = Model::from_bytes("m", &bytes) else {
            return if whole { "refused as a model" } else { "refused as a container" };
        };
        let _ = model.fold().and_then(|model| model.fold_batch_norms());
        let planned = Mode::ALL.map(|mode| match Plan::new(&model, mode) {
            Ok(plan) => !plan.memory(1, |shape| shape.iter().product()).sizes.is_empty(),
            Err(error) => {
                assert!(!error.to_string().contains("defect of this crate"), "{error}");
                false
            }
        });
        if planned.contains(&true) { "planned" } else { "loaded" }
    });
    let share = |outcome| counts.get(outcome).copied().unwrap_or(0) * 100 / CASES;
    assert!(share("refused as a model") > 30 && share("planned") > 10, "{counts:?}");
}

fn picture() -> DynamicImage {
    let pixel = |x, y| image::Rgb([(x * 9) as u8, (y * 11) as u8, ((x ^ y) * 5) as u8]);
    DynamicImage::ImageRgb8(image::RgbImage::from_fn(24, 17, pixel))
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// Changes what the chunks of a PNG hold, and keeps lengths and checksums right.
fn mutate_png(random: &mut Rand64, png: &[u8]) -> Vec<u8> {
    let mut chunks: Vec<Vec<u8>> = vec![];
    let mut rest = &png[8..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let end = u32::from_be_bytes(*length) as usize + 4;
        chunks.push(after[..end].to_vec());
        rest = &after[end + 4..];
    }
    let (at, to) = (below(random, chunks.len()), below(random, chunks.len()));
    match below(random, 8) {
        0 => chunks.swap(at, to),
        1 => chunks.insert(to, chunks[at].clone()),
        2 => drop(chunks.remove(at)),
        _ => {
            let kind: Vec<u8> = chunks[at].drain(..4).collect();
            mutate_bytes(random, &mut chunks[at]);
            chunks[at].splice(..0, kind);
        }
    }
    let mut bytes = png[..8].to_vec();
    for chunk in chunks {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        bytes.extend(&chunk);
        bytes.extend(crc(&chunk).to_be_bytes());
    }
    bytes
}

#[test]
fn mutated_images_are_refused_or_read() {
    let picture = picture();
    let formats = [ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif];
    let mut originals: Vec<Vec<u8>> = formats.map(|format| encode(&picture, format)).into();
    for rich in ["progressive.jpg", "lossy-alpha.webp", "animated.webp", "animated.gif", "runs.bmp"] {
        originals.push(std::fs::read(format!("{}/tests/data/images/{rich}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    }
    let mut pngs = vec![encode(&picture, ImageFormat::Png), encode(&picture.to_rgba16().into(), ImageFormat::Png)];
    for rich in ["palette.png", "interlaced.png"] {
        pngs.push(std::fs::read(format!("{}/tests/data/images/{rich}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    }
    let counts = on_every_seed(|random| {
        let png = below(random, 3) == 0;
        let mut bytes = pick(random, if png { &pngs } else { &originals }).clone();
        for _ in 0..=below(random, 3) {
            if png && below(random, 8) > 0 && bytes.starts_with(b"\x89PNG") {
                bytes = mutate_png(random, &bytes);
            } else {
                mutate_bytes(random, &mut bytes);
                break;
            }
        }
        match Image::decode("i", &bytes) {
            Ok(_) if png => "PNG read",
            Err(error) if png && error.to_string().contains("CRC") => "PNG refused for its checksum",
            Err(_) if png => "PNG refused",
            Ok(_) => "read",
            Err(_) => "refused",
        }
    });
    let count = |outcome| counts.get(outcome).copied().unwrap_or(0);
    assert!(count("PNG read") > 300 && count("PNG refused") > 4 * count("PNG refused for its checksum"), "{counts:?}");
    assert!(count("read") > 1000, "{counts:?}");
}
