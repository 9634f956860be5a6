//! Networks of every family as ONNX files, for other runtimes to read: `cargo xtask onnx` lets ONNX's checker and ONNX
//! Runtime judge what this test writes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::problem::Problem;
use common::problems::FAMILIES;
use doconv::network::Op;
use doconv::{Dtype, Error, Image, Mode, Model, Selector, Tensor, blocking, formats};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Networks of each family.
const COUNT: usize = 6;

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
    let session = blocking::Session::load(&cpu, &model, Mode::Folded).unwrap();
    let names = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"];
    let images: Vec<Image> = names.iter().map(|name| Image::open(Path::new("photos").join(name)).unwrap()).collect();
    let input = session.inner().preprocess(&images).unwrap();
    let bytes = formats::write_tensors([("image", &input)], &Default::default(), Dtype::F32).unwrap();
    formats::write_file(folder().join("photographs.safetensors"), &bytes).unwrap();
}
