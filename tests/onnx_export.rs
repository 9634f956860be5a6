//! Networks of every family as ONNX files: read again, they compute the same. `cargo xtask onnx` lets ONNX's checker and
//! ONNX Runtime judge what this test writes.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::problem::Problem;
use common::problems::FAMILIES;
use doconv::formats::onnx::{Array, File, Imported};
use doconv::network::Op;
use doconv::{Adapter, Dtype, Error, Image, Mode, Model, Selector, Tensor, blocking, formats};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// Networks of each family that others judge.
const COUNT: usize = 6;

/// Of the largest value: the same operators in the same order, maybe fused differently.
const TOLERANCE: f32 = 2e-5;

/// Where the networks are written: known to xtask too.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A network in both formats, and arrays for it.
fn write(name: &str, model: &Model, inputs: &[Tensor], dtype: Dtype) -> doconv::Result<()> {
    let folder = folder();
    model.save_onnx(folder.join(format!("{name}.onnx")), dtype)?;
    // What is stored as f16 is the folded kernel, and not W and D.
    model.fold()?.save(folder.join(format!("{name}.safetensors")), dtype)?;
    let names = model.network().inputs.iter().map(|input| input.name.as_str());
    let bytes = formats::write_tensors(names.zip(inputs), &Default::default(), Dtype::F32)?;
    formats::write_file(folder.join(format!("{name}.inputs.safetensors")), &bytes)
}

/// Problems of a family, the same every time.
fn problems(family: fn() -> proptest::strategy::BoxedStrategy<Problem>) -> impl Iterator<Item = Problem> {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(17), ..Config::default() });
    std::iter::from_fn(move || Some(family().new_tree(&mut runner).unwrap().current()))
}

/// A model from the bytes of an ONNX file.
fn import(bytes: &[u8]) -> Imported {
    let file = File::from_bytes("exported", bytes).unwrap();
    file.import(&BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"))
}

fn outputs(cpu: &Adapter, model: &Model, inputs: &[Tensor]) -> Vec<Tensor> {
    blocking::Session::load(cpu, model, Mode::Folded).unwrap().run(inputs).unwrap()
}

/// The largest difference as a share of the largest value, or what is wrong.
fn difference(got: &[f32], want: &[f32]) -> Result<f32, String> {
    if got.len() != want.len() {
        return Err(format!("{} values where {} are wanted", got.len(), want.len()));
    }
    let extent = want.iter().fold(f32::MIN_POSITIVE, |extent, value| extent.max(value.abs()));
    let mut worst = 0.0f32;
    for (got, want) in got.iter().zip(want) {
        let share = (got - want).abs() / extent;
        if (share.is_nan() || share > TOLERANCE) && got != want {
            return Err(format!("{got} for {want}, of values up to {extent}"));
        }
        worst = worst.max(share);
    }
    Ok(worst)
}

/// Writes a model, reads it again, and compares what both compute; `false` where it can be written but not read.
fn round_trip(cpu: &Adapter, problem: &Problem) -> Result<bool, String> {
    let (model, inputs) = (problem.model(), problem.inputs());
    let bytes = match model.to_onnx(Dtype::F32) {
        Err(Error::Network { reason, .. }) if reason.contains("ONNX does not support a scale") => return Ok(false),
        bytes => bytes.map_err(|error| error.to_string())?,
    };
    let file = File::from_bytes("exported", &bytes).map_err(|error| error.to_string())?;
    // Where items of a batch's elements are moved, the batch must be known.
    let array = |tensor: &Tensor| Array::new(tensor.shape(), tensor.data().to_vec()).expect("a tensor is an array");
    let named = model.network().inputs.iter().zip(&inputs);
    let given = named.map(|(input, tensor)| (input.name.clone(), array(tensor))).collect();
    let read = match file.import(&given) {
        // Items repeated within the elements of a batch take five axes.
        Err(error) if error.to_string().contains("cannot be combined with the four axes of a map") => return Ok(false),
        read => read.map_err(|error| error.to_string())?,
    };
    let names: Vec<&str> = read.inputs.iter().map(|port| port.name.as_str()).collect();
    let wanted: Vec<&str> = model.network().inputs.iter().map(|input| input.name.as_str()).collect();
    if names != wanted {
        return Err(format!("inputs {names:?} where {wanted:?} are wanted"));
    }
    let shaped = inputs.iter().zip(&read.model.network().inputs).map(|(tensor, input)| {
        let [c, h, w] = input.shape;
        let items = tensor.data().len() / (c * h * w);
        tensor.clone().reshape([items, c, h, w]).map_err(|error| error.to_string())
    });
    let got = outputs(cpu, &read.model, &shaped.collect::<Result<Vec<_>, _>>()?);
    let want = outputs(cpu, &model, &inputs);
    if got.len() != want.len() {
        return Err(format!("{} outputs where {} are wanted", got.len(), want.len()));
    }
    let vectors = model.network().vectors();
    for (index, (got, want)) in got.iter().zip(&want).enumerate() {
        let output = &model.network().outputs[index];
        difference(got.data(), want.data()).map_err(|reason| format!("{output}: {reason}"))?;
        let mut dims = want.shape().to_vec();
        if vectors.contains(output.as_str()) && dims[2..] == [1, 1] {
            dims.truncate(2);
        }
        let batch = if read.outputs[index].batched { dims[0] } else { problem.batch };
        if read.outputs[index].dims_of(batch) != dims {
            return Err(format!("{output}: {:?} where {dims:?} is wanted", read.outputs[index]));
        }
    }
    Ok(true)
}

#[test]
fn networks_that_were_written_and_read_compute_the_same() {
    let cpu = blocking::open(&Selector::Named("cpu".into())).unwrap();
    let mut failures = vec![];
    for (family, generator) in FAMILIES {
        let mut config = Config { failure_persistence: None, rng_seed: RngSeed::Fixed(3), ..Config::default() };
        if std::env::var_os("PROPTEST_CASES").is_none() {
            config.cases = 40;
        }
        let (cases, compared) = (config.cases, Cell::new(0));
        let result = TestRunner::new(config).run(&generator(), |mut problem| {
            if problem.network.inputs.iter().any(|input| input.items > 1) {
                // Such a file is for one element of a batch.
                problem.batch = 1;
            }
            let same = round_trip(&cpu, &problem).map_err(TestCaseError::fail)?;
            compared.set(compared.get() + u32::from(same));
            Ok(())
        });
        if let Err(failure) = result {
            failures.push(format!("{family}: {failure:?}"));
        } else if compared.get() < cases / 2 {
            failures.push(format!("{family}: only {} of {cases} could be compared", compared.get()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn what_differs_is_noticed() {
    let right = [1.0, -2.0, 0.5];
    assert_eq!(difference(&right, &right), Ok(0.0));
    assert!(difference(&[1.0, -2.0, 0.5 + 4.0 * TOLERANCE], &right).is_err());
    assert!(difference(&[f32::NAN, -2.0, 0.5], &right).is_err());
    assert!(difference(&right[..2], &right).is_err());
}

#[test]
fn labels_and_preprocessing_survive() {
    let model = Model::bundled().unwrap();
    let read = import(&model.to_onnx(Dtype::F16).unwrap()).model;
    assert_eq!(read.network().labels, model.network().labels);
    assert_eq!(read.network().preprocess, model.network().preprocess);
    let cpu = blocking::open(&Selector::Named("cpu".into())).unwrap();
    let image = Image::open("photos/chelsea.png").unwrap();
    let best = |model: &Model| {
        let mut session = blocking::Session::load(&cpu, model, Mode::Folded).unwrap();
        session.classify(std::slice::from_ref(&image), 1).unwrap().remove(0).remove(0)
    };
    let (got, want) = (best(&read), best(&model));
    assert_eq!(got.label, want.label);
    assert!((got.probability - want.probability).abs() < 1e-3, "{got:?} for {want:?}");
}

/// What can be said in ONNX, but ONNX Runtime cannot compute.
fn is_beyond_the_peer(problem: &Problem) -> bool {
    problem.network.nodes.iter().any(|node| match &node.op {
        // It wants an odd number of channels.
        Op::Lrn(lrn) => lrn.size % 2 == 0,
        // It wants less of it than the stride.
        Op::ConvTranspose2d(conv) => {
            (0..2).any(|axis| conv.output_padding[axis].saturating_sub(conv.padding[axis + 2]) >= conv.stride[axis])
        }
        _ => false,
    })
}

#[test]
fn networks_of_every_family() {
    for (family, generator) in FAMILIES {
        let mut written = 0;
        for mut problem in problems(*generator).take(20 * COUNT) {
            if is_beyond_the_peer(&problem) {
                continue;
            }
            if problem.network.inputs.iter().any(|input| input.items > 1) {
                // Such a file is for one element of a batch.
                problem.batch = 1;
            }
            let dtype = if written == 1 { Dtype::F16 } else { Dtype::F32 };
            match write(&format!("{family}-{written}"), &problem.model(), &problem.inputs(), dtype) {
                Ok(()) => written += 1,
                Err(Error::Network { reason, .. }) if reason.contains("ONNX does not support a scale") => {}
                Err(error) => panic!("{error}\n{problem:?}"),
            }
            if written == COUNT {
                break;
            }
        }
        assert_eq!(written, COUNT, "{family}");
    }
}

/// The bundled network as `doconv fold` writes it is judged on these.
#[test]
fn photographs() {
    let model = Model::bundled().unwrap();
    let cpu = blocking::open(&Selector::Named("cpu".into())).unwrap();
    let mut session = blocking::Session::load(&cpu, &model, Mode::Folded).unwrap();
    let names = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"];
    let images: Vec<Image> = names.iter().map(|name| Image::open(Path::new("photos").join(name)).unwrap()).collect();
    let input = session.preprocess(&images).unwrap();
    let bytes = formats::write_tensors([("image", &input)], &Default::default(), Dtype::F32).unwrap();
    formats::write_file(folder().join("photographs.safetensors"), &bytes).unwrap();
}
