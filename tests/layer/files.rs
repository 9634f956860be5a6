//! Layer files that are wrong, and those of one-dimensional layers.

use doconv::formats::{LAYER_KEY, LayerFile, Metadata, write_tensors};
use doconv::network::PaddingMode;
use doconv::plan::Mode;
use doconv::{Adapter, Dtype, Tensor, Weights};
use pollster::block_on;
use serde_json::{Value, json};

/// A file in the making: a layer of 4 to 6 channels in two groups, 2×3 taps.
struct Draft {
    attributes: Value,
    tensors: Weights,
}

fn ramp(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::new(shape, (0..count).map(|i| (i * 7 % 11) as f32 / 5.0 - 1.0).collect()).unwrap()
}

impl Draft {
    fn new() -> Self {
        let attributes = json!({
            "in_channels": 4, "out_channels": 6, "kernel_size": [2, 3], "d_mul": 6, "stride": [1, 1], "padding": [1, 0],
            "dilation": [1, 1], "groups": 2, "padding_mode": "zeros", "bias": true, "pairing": "paper",
        });
        let tensors = [
            ("input", &[1, 4, 5, 6][..]),
            ("W", &[6, 2, 6]),
            ("D", &[4, 6, 6]),
            ("bias", &[6]),
            ("grad_output", &[1, 6, 6, 4]),
        ];
        Self { attributes, tensors: tensors.map(|(name, shape)| (name.into(), ramp(shape))).into() }
    }

    /// A layer of 2 to 3 channels with a kernel of 3 taps over a map of 8.
    fn flat() -> Self {
        let attributes =
            json!({ "in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": [2, 1], "stride": [2] });
        let tensors = [("input", &[2, 2, 8][..]), ("W", &[3, 2, 3]), ("D", &[2, 3, 3]), ("grad_output", &[2, 3, 5])];
        Self { attributes, tensors: tensors.map(|(name, shape)| (name.into(), ramp(shape))).into() }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.attributes[name] = value;
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.attributes.as_object_mut().unwrap().remove(name);
        self
    }

    fn tensor(mut self, name: &str, shape: &[usize]) -> Self {
        self.tensors.insert(name.into(), ramp(shape));
        self
    }

    fn drop(mut self, name: &str) -> Self {
        self.tensors.remove(name).expect("it was there");
        self
    }

    fn nan(mut self, name: &str) -> Self {
        self.tensors.get_mut(name).unwrap().data_mut()[1] = f32::NAN;
        self
    }

    fn read(self) -> doconv::Result<LayerFile> {
        let metadata = Metadata::from([(LAYER_KEY.into(), self.attributes.to_string())]);
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        LayerFile::from_bytes("x.safetensors", &write_tensors(tensors, &metadata, Dtype::F32).unwrap())
    }

    /// One line that names the file and all of `parts`.
    #[track_caller]
    fn fails_with(self, parts: &[&str]) {
        let error = self.read().expect_err("it is wrong").to_string();
        assert!(error.starts_with("x.safetensors: not a valid layer file: ") && !error.contains('\n'), "{error}");
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
fn attributes_have_defaults_and_short_forms() {
    let full = Draft::new().read().unwrap();
    let mut short = Draft::new();
    for name in ["d_mul", "stride", "dilation", "padding_mode", "bias", "pairing"] {
        short = short.without(name);
    }
    assert_eq!(short.read().unwrap().layer().conv(), full.layer().conv());
    let null = Draft::new().with("d_mul", Value::Null).read().unwrap();
    assert_eq!(null.layer().conv(), full.layer().conv());

    let four = Draft::new().with("padding", json!([1, 0, 0, 2])).with("padding_mode", json!("reflect"));
    let four = four.tensor("grad_output", &[1, 6, 5, 6]).read().unwrap();
    assert_eq!((four.layer().conv().padding, four.layer().conv().padding_mode), ([1, 0, 0, 2], PaddingMode::Reflect));
    let one = Draft::new().with("padding", json!(2)).drop("grad_output").read().unwrap();
    assert_eq!(one.layer().conv().padding, [2; 4]);
    let square = Draft::new().with("kernel_size", json!(3)).with("d_mul", json!(9)).drop("grad_output");
    let square = square.tensor("W", &[6, 2, 9]).tensor("D", &[4, 9, 9]).read().unwrap();
    assert_eq!(square.layer().conv().kernel, [3, 3]);
    // The authors' layer ignores the multiplier of 1×1 kernels.
    let pointwise = Draft::new().with("kernel_size", json!(1)).with("d_mul", json!(3)).drop("grad_output").drop("D");
    let pointwise = pointwise.tensor("W", &[6, 2, 1]).read().unwrap();
    assert_eq!(pointwise.layer().conv().doconv.unwrap().d_mul, 1);
}

#[test]
fn wrong_attributes_are_named() {
    for name in ["in_channels", "out_channels", "kernel_size"] {
        Draft::new().without(name).fails_with(&[&format!("attribute `{name}` is missing")]);
    }
    Draft::new().with("kernel", json!(3)).fails_with(&["unknown attribute `kernel`", "kernel_size"]);
    Draft::new().with("in_channels", json!(-4)).fails_with(&["`in_channels`", "whole number", "-4"]);
    Draft::new().with("in_channels", json!(4.5)).fails_with(&["`in_channels`", "4.5"]);
    Draft::new().with("in_channels", json!("4")).fails_with(&["`in_channels`", "\"4\""]);
    Draft::new().with("kernel_size", json!([2, 3, 4])).fails_with(&["`kernel_size`", "[2,3,4]"]);
    Draft::new().with("padding", json!([1, 2, 3])).fails_with(&["`padding`", "[1,2,3]"]);
    Draft::new().with("padding", json!("same")).fails_with(&["`padding`", "\"same\""]);
    Draft::new().with("padding_mode", json!("mirror")).fails_with(&["`padding_mode`", "\"reflect\"", "\"mirror\""]);
    Draft::new().with("pairing", json!("tensorflow")).fails_with(&["`pairing`", "\"torch\"", "\"tensorflow\""]);
    Draft::new().with("bias", json!(1)).fails_with(&["`bias`", "true or false"]);
    Draft::new().with("groups", json!(3)).fails_with(&["4 input", "3 groups"]);
    Draft::new().with("groups", json!(0)).fails_with(&["groups 0"]);
    Draft::new().with("stride", json!(0)).fails_with(&["stride [0, 0]"]);
    Draft::new().with("d_mul", json!(0)).fails_with(&["d_mul 0"]);
    Draft::new().with("kernel_size", json!([1u64 << 40, 1u64 << 40])).fails_with(&["kernel"]);
    Draft::new().with("dilation", json!(9)).fails_with(&["does not fit"]);
    Draft::new().with("padding", json!([9, 0])).with("padding_mode", json!("reflect")).fails_with(&["less than", "5"]);
}

#[test]
fn wrong_tensors_are_named() {
    Draft::new().drop("input").fails_with(&["`input`"]);
    Draft::new().drop("W").fails_with(&["`W`", "missing", "[6, 2, 6]"]);
    Draft::new().drop("D").fails_with(&["`D`", "missing", "[4, 6, 6]"]);
    Draft::new().drop("bias").fails_with(&["`bias`", "missing", "[6]"]);
    Draft::new().with("bias", json!(false)).fails_with(&["`bias`", "surplus"]);
    Draft::new().tensor("weight", &[1]).fails_with(&["unknown tensor `weight`"]);
    Draft::new().tensor("W", &[6, 2, 5]).fails_with(&["`W`", "[6, 2, 6]", "[6, 2, 5]"]);
    Draft::new().tensor("D", &[6, 4, 6]).fails_with(&["`D`", "[4, 6, 6]", "[6, 4, 6]"]);
    Draft::new().tensor("d_diag", &[6, 6]).fails_with(&["`d_diag`", "[4, 6, 6]", "[6, 6]"]);
    Draft::new().tensor("input", &[1, 5, 5, 6]).fails_with(&["input", "[N, 4, H, W]", "[1, 5, 5, 6]"]);
    Draft::new().tensor("input", &[0, 4, 5, 6]).fails_with(&["input", "[0, 4, 5, 6]"]);
    Draft::new().tensor("input", &[20, 6]).fails_with(&["`input`", "[20, 6]"]);
    Draft::new().tensor("grad_output", &[1, 6, 5, 4]).fails_with(&["`grad_output`", "[1, 6, 6, 4]", "[1, 6, 5, 4]"]);
    Draft::new().tensor("folded", &[6, 2, 3, 2]).fails_with(&["`folded`", "[6, 2, 2, 3]", "[6, 2, 3, 2]"]);
    Draft::new().tensor("grad_input", &[1]).fails_with(&["`grad_input`", "[1, 4, 5, 6]", "[1]"]);
    let pointwise = || Draft::new().with("kernel_size", json!(1)).with("padding", json!(0)).tensor("W", &[6, 2, 1]);
    pointwise().drop("grad_output").fails_with(&["`D`", "surplus", "1×1"]);
    pointwise().drop("D").drop("grad_output").tensor("grad_D", &[1]).fails_with(&["`grad_D`", "surplus"]);
    for name in ["input", "W", "D", "bias", "grad_output"] {
        Draft::new().nan(name).fails_with(&[&format!("`{name}`"), "value 1 is NaN"]);
    }
    let bytes = write_tensors([("input", &ramp(&[1]))], &Metadata::new(), Dtype::F32).unwrap();
    let error = LayerFile::from_bytes("x", &bytes).unwrap_err().to_string();
    assert!(error.contains("no metadata entry `layer`"), "{error}");
    let metadata = Metadata::from([(LAYER_KEY.into(), "{".into())]);
    let bytes = write_tensors([("input", &ramp(&[1]))], &metadata, Dtype::F32).unwrap();
    let error = LayerFile::from_bytes("x", &bytes).unwrap_err().to_string();
    assert!(error.contains("`layer` is no JSON"), "{error}");
}

#[test]
fn flat_layers_are_layers_of_one_row() {
    let flat = Draft::flat().read().unwrap();
    let conv = flat.layer().conv();
    assert_eq!((conv.kernel, conv.stride, conv.padding), ([1, 3], [1, 2], [0, 2, 0, 1]));
    assert_eq!(flat.input().shape(), [2, 2, 1, 8]);
    let mut square = Draft::flat().with("kernel_size", json!([1, 3])).with("stride", json!([1, 2]));
    square = square.with("padding", json!([0, 2, 0, 1]));
    square = square.tensor("input", &[2, 2, 1, 8]).tensor("grad_output", &[2, 3, 1, 5]);
    let square = square.read().unwrap();
    let run = |file: &LayerFile| {
        let layer = file.layer();
        let results = block_on(layer.run(&Adapter::cpu(), Mode::Kernel, file.input(), file.grad_output())).unwrap();
        file.results(results).unwrap()
    };
    let (flat, square) = (run(&flat), run(&square));
    for (name, shape) in [("output", vec![2, 3, 5]), ("folded", vec![3, 2, 3]), ("grad_input", vec![2, 2, 8])] {
        assert_eq!(flat[name].shape(), shape, "{name}");
    }
    for (name, tensor) in &square {
        assert_eq!(flat[name].data(), tensor.data(), "{name}");
    }
    Draft::flat().with("kernel_size", json!([3, 3])).fails_with(&["`kernel_size`", "[N, C, L]"]);
    Draft::flat().with("padding", json!([1, 1, 1, 1])).fails_with(&["`padding`", "[N, C, L]"]);
    Draft::flat().tensor("grad_output", &[2, 3, 1, 5]).fails_with(&["`grad_output`", "[N, C, L]"]);
    Draft::flat().tensor("grad_output", &[2, 3, 6]).fails_with(&["`grad_output`", "[2, 3, 5]", "[2, 3, 6]"]);
}
