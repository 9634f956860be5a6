//! ONNX files against outputs recorded by ONNX Runtime and PyTorch, and broken files.
//!
//! The files are made by `tests/data/onnx/make.py`.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::PathBuf;

use doconv::formats::onnx::{Array, Data, File, Imported};
use doconv::formats::{read_arrays, read_tensors};
use doconv::network::Op;
use doconv::{Adapter, Dtype, Mode, Model, Selector, Tensor, blocking};
use oorandom::Rand64;

const RECORDED: [&str; 14] = [
    "layers",
    "signals",
    "first_axis",
    "products",
    "shapes",
    "functions",
    "old",
    "kernels",
    "external",
    "doconv-einsum-legacy",
    "doconv-einsum-dynamo",
    "doconv-matmul-legacy",
    "doconv-matmul-dynamo",
    "names",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

/// The recorded arrays of a model: the inputs, and everything.
fn arrays(name: &str, file: &File) -> (BTreeMap<String, Array>, BTreeMap<String, Array>) {
    let bytes = std::fs::read(path(&format!("{name}.safetensors"))).unwrap();
    let all = read_arrays(name, &bytes).unwrap();
    let mut given = all.clone();
    given.retain(|name, _| file.inputs().contains(&name.as_str()));
    (given, all)
}

fn floats(array: &Array) -> &[f32] {
    let Data::F32(values) = array.data() else { panic!("no floats: {array:?}") };
    values
}

fn cpu() -> Adapter {
    blocking::open(&Selector::Named("cpu".into())).unwrap()
}

/// Runs a file on recorded inputs, and compares names, extents and values of the outputs.
fn check(name: &str, mode: Mode) {
    let file = File::open(path(&format!("{name}.onnx"))).unwrap();
    let (given, all) = arrays(name, &file);
    compare(name, mode, &file.import(&given).unwrap(), &given, &all);
}

fn compare(
    name: &str,
    mode: Mode,
    imported: &Imported,
    given: &BTreeMap<String, Array>,
    expected: &BTreeMap<String, Array>,
) {
    let network = imported.model.network();
    let mut batch = 1;
    let mut inputs = vec![];
    for (port, input) in imported.inputs.iter().zip(&network.inputs) {
        let array = &given[&port.name];
        if port.batched {
            batch = array.dims()[0];
        }
        assert_eq!(array.dims(), port.dims_of(batch), "{name}: {}", port.name);
        let [c, h, w] = input.shape;
        inputs.push(Tensor::new([batch * input.items, c, h, w], floats(array).to_vec()).unwrap());
    }
    let results = blocking::Session::load(&cpu(), &imported.model, mode).unwrap().run(&inputs).unwrap();
    assert_eq!(results.len(), imported.outputs.len());
    for (port, result) in imported.outputs.iter().zip(results) {
        let expected = &expected[&port.name];
        assert_eq!(expected.dims(), port.dims_of(batch), "{name}: {}", port.name);
        let largest = floats(expected).iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        for (at, (&got, &wanted)) in result.data().iter().zip(floats(expected)).enumerate() {
            let near = (got - wanted).abs() <= 1e-5 * largest.max(1.0);
            assert!(near, "{name}, {mode:?}: {} at {at} is {got}, not {wanted}", port.name);
        }
    }
}

/// The batches for which the models in `batches` are recorded.
const BATCHES: [usize; 4] = [1, 2, 3, 5];

/// A model in `batches`, with its input and output for one of them; no output if ONNX Runtime refuses that batch.
fn batch(name: &str, batch: usize) -> (BTreeMap<String, Array>, Option<BTreeMap<String, Array>>) {
    let bytes = std::fs::read(path(&format!("batches/{name}.safetensors"))).unwrap();
    let mut all = read_arrays(name, &bytes).unwrap();
    let mut named = |name: &str| Some(BTreeMap::from([(name.to_string(), all.remove(&format!("{name}@{batch}"))?)]));
    (named("x").unwrap(), named("y"))
}

fn batch_file(name: &str) -> File {
    File::open(path(&format!("batches/{name}.onnx"))).unwrap()
}

#[test]
fn what_is_in_proportion_to_the_batch_works_for_every_batch() {
    for name in ["shape", "arithmetic", "token", "repeated", "matrices", "branches", "condition"] {
        let imported = batch_file(name).import(&BTreeMap::new()).unwrap();
        assert!(imported.inputs[0].batched, "{name}");
        for n in BATCHES {
            let (given, expected) = batch(name, n);
            compare(&format!("{name}@{n}"), Mode::Folded, &imported, &given, &expected.unwrap());
        }
    }
}

#[test]
fn what_is_in_no_proportion_to_the_batch_is_right_for_the_given_one() {
    let names = [
        "at_most",
        "column",
        "columns",
        "constant_row",
        "equal",
        "first_four",
        "half",
        "if_one",
        "inverse",
        "literal",
        "lower_rank",
        "more_axes",
        "one_row",
        "one_row_declared",
        "quotient",
        "range",
        "resized",
        "square",
        "sum_of_repeated",
        "table",
        "times_batch",
    ];
    for name in names {
        let file = batch_file(name);
        match file.import(&BTreeMap::new()) {
            Ok(imported) => assert!(name == "one_row_declared" && imported.inputs[0].dims_of(1) == [5, 3, 4, 4]),
            Err(error) => {
                let error = error.to_string();
                let named = error.contains("axis 0 (`n`) of its input `x` is free, but node `");
                assert!(named && error.contains("fix the axis in the file") && error.len() < 300, "{name}: {error}");
            }
        }
        let mut right = 0;
        for n in BATCHES {
            let (given, expected) = batch(name, n);
            let fits = |imported: &Imported| given["x"].dims() == imported.inputs[0].dims_of(n);
            match (file.import(&given).ok().filter(fits), expected) {
                (Some(imported), Some(expected)) => {
                    assert!(!imported.inputs[0].batched, "{name}");
                    compare(&format!("{name}@{n}"), Mode::Folded, &imported, &given, &expected);
                    right += 1;
                }
                // Other sizes of the first axis are not supported.
                (None, Some(_)) => assert_eq!(name, "resized"),
                (None, None) => {}
                (Some(_), None) => panic!("{name}: ONNX Runtime refuses a batch of {n}"),
            }
        }
        assert!(right > 0, "{name}");
    }
}

#[test]
fn results_are_those_of_other_runtimes() {
    for name in RECORDED {
        check(name, Mode::Folded);
    }
}

#[test]
fn doconv_layers_are_found_with_their_parameters() {
    for name in RECORDED.into_iter().filter(|name| name.starts_with("doconv")) {
        let file = File::open(path(&format!("{name}.onnx"))).unwrap();
        let (_, all) = arrays(name, &file);
        let model = file.import(&BTreeMap::new()).unwrap().model;
        let mut layers = 0;
        for (node, conv) in model.convolutions() {
            let Some(attributes) = conv.doconv else {
                assert_eq!(node.name, "point");
                continue;
            };
            layers += 1;
            assert_eq!(attributes.d_mul, if node.name == "grouped" { 14 } else { 9 }, "{name}: {}", node.name);
            for part in ["W", "D", "d_diag"] {
                let parameter = format!("{}.{part}", node.name);
                let expected = &all[&format!("parameter:{parameter}")];
                let own = &model.weights()[&parameter];
                assert_eq!((own.shape(), own.data()), (expected.dims(), floats(expected)), "{name}: {parameter}");
            }
        }
        assert_eq!(layers, 3, "{name}");
        check(name, Mode::Kernel);
        let folded = model.fold().unwrap().fold_batch_norms().unwrap();
        assert!(!folded.is_composed());
        assert!(folded.network().nodes.iter().all(|node| !matches!(node.op, Op::BatchNorm(_))));
    }
}

#[test]
fn a_damaged_kernel_is_no_product() {
    let name = "doconv-einsum-legacy";
    let bytes = std::fs::read(path(&format!("{name}.onnx"))).unwrap();
    let at = bytes.windows(12).position(|window| window == b"ims,ois->oim").unwrap();
    let mut swapped = bytes.clone();
    // The sum of D over its own S, times W summed over its own: other values in the same shapes.
    swapped[at..at + 12].copy_from_slice(b"imt,ois->oim");
    let model = File::from_bytes(name, &swapped).unwrap().import(&BTreeMap::new()).unwrap().model;
    assert!(!model.weights().contains_key("stem.W") && model.weights().contains_key("grouped.W"));
}

#[test]
fn names_of_parameters_are_kept_and_arithmetic_after_a_convolution_folds_away() {
    let file = File::open(path("layers.onnx")).unwrap();
    let model = file.import(&BTreeMap::new()).unwrap().model;
    for name in ["stem.conv.weight", "stem.conv.bias", "stem.bn.running_var", "up.weight", "head.weight", "head.bias"] {
        assert!(model.weights().contains_key(name), "{name} is not among {:?}", model.weights().keys());
    }
    let folded = model.fold_batch_norms().unwrap();
    assert!(folded.network().nodes.iter().all(|node| !matches!(node.op, Op::BatchNorm(_) | Op::Mul | Op::Add)));
    // What was imported can be stored as a model file.
    let read = Model::from_bytes("m", &folded.to_bytes(Dtype::F32).unwrap()).unwrap();
    assert_eq!(read.network(), folded.network());
}

fn error(name: &str) -> String {
    File::open(path(name)).and_then(|file| file.import(&BTreeMap::new())).unwrap_err().to_string()
}

#[test]
fn everything_unsupported_is_named_at_once() {
    let message = error("unsupported.onnx");
    for part in ["node `Erf_a` (Erf)", "node `special` (com.example.Special)", "not supported"] {
        assert!(message.contains(part), "`{part}` is not in {message}");
    }
    let message = error("attributes.onnx");
    for part in ["(Dropout): training mode is not supported", "(Resize): antialias", "(Pow): only squares"] {
        assert!(message.contains(part), "`{part}` is not in {message}");
    }
    assert!(!message.contains("MaxPool"), "what no output needs does not matter: {message}");
}

#[test]
fn what_must_be_given_is_named() {
    let message = error("kernels.onnx");
    assert!(message.contains("its input `w` must be known") && message.contains(".safetensors"), "{message}");
    let message = error("shapes.onnx");
    assert!(message.contains("axis 2 (`height`) of its input `x` is free"), "{message}");
    let message = error("cyclic.onnx");
    assert!(message.contains("node `Relu_y` reads `z`, which is not computed before it (a cycle"), "{message}");
}

#[test]
fn broken_files_are_refused() {
    let error = |bytes: &[u8]| File::from_bytes("f", bytes).map(drop).unwrap_err().to_string();
    assert_eq!(error(b""), "f: cannot be read as ONNX: the file is empty");
    assert!(error(b"not an ONNX file at all").contains("damaged or no ONNX"), "{}", error(b"not an ONNX file at all"));
    assert!(error(&[8, 9]).contains("it holds no graph"), "{}", error(&[8, 9]));
    // ir_version 9, an empty graph, operator set 99.
    assert!(error(&[8, 9, 58, 0, 66, 2, 16, 99]).contains("operator set 99, and 6 to 28 are supported"));
    let whole = std::fs::read(path("layers.onnx")).unwrap();
    assert!(error(&whole[..whole.len() / 2]).contains("damaged or no ONNX"));
    // A graph in a graph in a graph …: every level is an attribute's graph with one node.
    let mut nested = vec![];
    for _ in 0..5000 {
        let wrap = |field: u8, inside: &[u8]| {
            let mut length = inside.len();
            let mut bytes = vec![field << 3 | 2];
            while length >= 0x80 {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(inside);
            bytes
        };
        nested = wrap(1, &wrap(5, &wrap(6, &nested)));
    }
    assert!(File::from_bytes("f", &nested).is_err());
}

#[test]
fn other_files_are_read_only_in_the_same_folder() {
    let bytes = std::fs::read(path("external.onnx")).unwrap();
    let message = File::from_bytes("f", &bytes).map(drop).unwrap_err().to_string();
    assert!(
        message.contains("tensor `w`") && message.contains("`external.data`; open the model by its path"),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let at = bytes.windows(13).position(|window| window == b"external.data").unwrap();
    let mut outside = bytes.clone();
    outside[at..at + 13].copy_from_slice(b"../weights.da");
    std::fs::write(folder.path().join("weights.da"), [0; 1 << 16]).unwrap();
    std::fs::write(inner.join("m.onnx"), &outside).unwrap();
    let message = File::open(inner.join("m.onnx")).map(drop).unwrap_err().to_string();
    assert!(message.contains("does not lie in the model's folder"), "{message}");
    std::fs::write(inner.join("m.onnx"), &bytes).unwrap();
    let message = File::open(inner.join("m.onnx")).map(drop).unwrap_err().to_string();
    assert!(message.contains("external.data: "), "{message}");
    std::fs::write(inner.join("external.data"), [0; 40]).unwrap();
    let message = File::open(inner.join("m.onnx")).map(drop).unwrap_err().to_string();
    assert!(message.contains("not within the 40 bytes"), "{message}");
}

#[test]
fn no_damage_makes_the_import_panic() {
    let mut random = Rand64::new(5);
    let mut below = |end: usize| random.rand_range(0..end.max(1) as u64) as usize;
    let (mut imported, mut refused) = (0, 0);
    for name in RECORDED.iter().filter(|name| **name != "external") {
        let whole = std::fs::read(path(&format!("{name}.onnx"))).unwrap();
        let file = File::from_bytes(name, &whole).unwrap();
        let (given, _) = arrays(name, &file);
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(6) {
                    0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                    1 => bytes.truncate(at.max(1)),
                    2 => drop(bytes.splice(at..at, whole[..below(16)].to_vec())),
                    _ => bytes[at] ^= 1 << below(8),
                }
            }
            let result = catch_unwind(|| File::from_bytes("f", &bytes).and_then(|file| file.import(&given)));
            match result.unwrap_or_else(|_| panic!("{name} damaged as {bytes:?}")) {
                Ok(_) => imported += 1,
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
        }
    }
    assert!(imported > 100 && refused > 100, "{imported} imported, {refused} refused");
}

#[test]
fn integers_and_truth_values_are_read_from_tensor_files() {
    let bytes = std::fs::read(path("kernels.safetensors")).unwrap();
    let arrays = read_arrays("k", &bytes).unwrap();
    assert_eq!(arrays["shape"].data(), &Data::I64(vec![2, -1]));
    assert!(read_tensors("k", &bytes).is_err());
}
