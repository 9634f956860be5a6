//! Single layers recorded from the authors' PyTorch implementation.
//!
//! The files are layer files: `input`, `W`, `D`, `d_diag`, `bias`, and what PyTorch made of them, `folded` and
//! `output`; the attributes are JSON in the metadata entry `layer`. Layers that pad with anything but zeros are not
//! among them, because this crate does not have those yet.

mod common;

use common::plan_interpreter::PlanInterpreter;
use common::runners::SessionRunner;
use common::suite::Runner;
use doconv::doconv::{Composed, add_identity, fold};
use doconv::gpu::policy::Tier;
use doconv::network::{Conv2d, DoConv, Op, PaddingMode, Pairing};
use doconv::plan::Mode;
use doconv::{Adapter, Error, Model, Selector, Tensor, Weights, reference};
use pollster::block_on;
use safetensors::SafeTensors;

/// The files, by name: a missing one must not go unnoticed.
const LAYERS: [&str; 16] = [
    "depthwise",
    "depthwise_multiplier2",
    "dilated",
    "dmul11",
    "dmul18",
    "dmul4_below_taps",
    "grouped2",
    "grouped4_resnext",
    "kernel1x3",
    "kernel5x3",
    "nobias",
    "odd_everything",
    "plain3x3",
    "pointwise1x1",
    "stride2_pad1",
    "valid_stem7x7",
];

/// A recorded layer.
struct Golden {
    name: &'static str,
    conv: Conv2d,
    tensors: Weights,
}

fn load(name: &'static str) -> Golden {
    let path = format!("{}/tests/data/layers/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let layer = &header.metadata().as_ref().unwrap()["layer"];
    let layer: serde_json::Value = serde_json::from_str(layer).unwrap();
    assert_eq!(layer["padding_mode"], "zeros", "{name}");
    let number = |key: &str| layer[key].as_u64().unwrap_or_else(|| panic!("{name}: {key}")) as usize;
    let pair = |key: &str| [0, 1].map(|axis| layer[key][axis].as_u64().unwrap() as usize);
    let [vertical, horizontal] = pair("padding");
    let pairing = if layer["pairing"] == "torch" { Pairing::Torch } else { Pairing::Paper };
    let conv = Conv2d {
        in_channels: number("in_channels"),
        out_channels: number("out_channels"),
        kernel: pair("kernel_size"),
        stride: pair("stride"),
        padding: [vertical, horizontal, vertical, horizontal],
        padding_mode: PaddingMode::Zeros,
        dilation: pair("dilation"),
        groups: number("groups"),
        bias: layer["bias"].as_bool().unwrap(),
        doconv: Some(DoConv { d_mul: number("d_mul"), pairing }),
    };
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &safetensors::tensor::TensorView| {
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Tensor::new(view.shape().to_vec(), values.collect()).unwrap()
    };
    let tensors = tensors.tensors().iter().map(|(name, view)| (name.clone(), tensor(view))).collect();
    Golden { name, conv, tensors }
}

impl Golden {
    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// A network of this layer alone, with or without the stored constant.
    fn model(&self, with_constant: bool) -> Model {
        let shape = self.tensor("input").shape();
        let mut graph = common::graph::Graph::new([shape[1], shape[2], shape[3]]);
        let layer = graph.add(Op::Conv2d(self.conv.clone()), &["input"]);
        let parts = ["W", "D", "bias", "d_diag"].into_iter().filter(|&part| part != "d_diag" || with_constant);
        let weights = parts.filter_map(|part| Some((format!("{layer}.{part}"), self.tensors.get(part)?.clone())));
        Model::new(graph.finish(&[&layer]), weights.collect()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// `got` must be the recorded tensor to 1e−5 of its range.
    fn check(&self, what: &str, got: &[f64]) {
        let want = self.tensor(what).data();
        assert_eq!(got.len(), want.len(), "{}: {what}", self.name);
        let range = want.iter().fold(0.0f64, |range, value| range.max(f64::from(value.abs())));
        for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
            let off = (got - f64::from(want)).abs();
            assert!(off <= 1e-5 * range, "{}: {what}[{index}] is {got}, recorded is {want}", self.name);
        }
    }
}

fn widen(tensor: &Tensor) -> Vec<f64> {
    tensor.data().iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn folding_gives_the_recorded_kernel() {
    for golden in LAYERS.map(load) {
        let attributes = golden.conv.doconv.unwrap();
        if golden.conv.taps() == 1 {
            golden.check("folded", &widen(golden.tensor("W")));
            continue;
        }
        let mut d = golden.tensor("D").clone();
        add_identity(golden.conv.taps(), attributes.d_mul, d.data_mut());
        let composed = Composed { w: golden.tensor("W").clone(), d, attributes };
        golden.check("folded", &widen(&fold(&golden.conv, &composed).unwrap()));
    }
}

#[test]
fn the_reference_gives_the_recorded_output() {
    for golden in LAYERS.map(load) {
        for with_constant in [false, true] {
            let inputs = [golden.tensor("input").clone()];
            let output = reference::run(&golden.model(with_constant), &inputs).unwrap();
            assert_eq!(output[0].shape, golden.tensor("output").shape(), "{}", golden.name);
            golden.check("output", &output[0].data);
        }
    }
}

/// The layers whose pairing lets one input channel meet several D.
const WITHOUT_FEATURE_FORM: [&str; 3] = ["depthwise_multiplier2", "grouped2", "grouped4_resnext"];

fn check_runner(runner: &mut dyn Runner) {
    for golden in LAYERS.map(load) {
        for mode in Mode::ALL {
            let result = runner.run(&golden.model(true), mode, &[golden.tensor("input").clone()]);
            if mode == Mode::Feature && WITHOUT_FEATURE_FORM.contains(&golden.name) {
                assert!(matches!(result, Err(Error::Unsupported(_))), "{}: {result:?}", golden.name);
                continue;
            }
            let output = result.unwrap_or_else(|error| panic!("{}, {}: {error}", golden.name, mode.name()));
            assert_eq!(output[0].shape(), golden.tensor("output").shape(), "{}, {}", golden.name, mode.name());
            golden.check("output", &widen(&output[0]));
        }
    }
}

#[test]
fn the_plan_gives_the_recorded_output() {
    check_runner(&mut PlanInterpreter);
}

#[test]
fn every_adapter_gives_the_recorded_output() {
    for (index, info) in block_on(Adapter::list()).iter().enumerate() {
        let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        for tier in [Tier::Software, Tier::Hardware] {
            let adapter = adapter.clone().with_device(|device| device.set_tier(tier));
            check_runner(&mut SessionRunner::new(info.name.clone(), adapter));
        }
    }
}
