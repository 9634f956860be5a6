//! Layer files: one DO-Conv layer with an input, and maybe what it should compute.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Metadata, read_tensors};
use crate::network::{Conv2d, DoConv, PaddingMode, Pairing};
use crate::{Error, Layer, Result, Tensor, Weights};

/// The metadata entry that holds the attributes.
pub const LAYER_KEY: &str = "layer";

/// Every attribute there is.
const ATTRIBUTES: [&str; 11] = [
    "in_channels",
    "out_channels",
    "kernel_size",
    "d_mul",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
    "bias",
    "pairing",
];
/// What a layer computes, and what a file may record of it.
const RESULTS: [&str; 6] = ["output", "folded", "grad_input", "grad_W", "grad_D", "grad_bias"];

/// A DO-Conv layer with something to run it on.
///
/// A layer file is a safetensors file with the tensors `input [N, C, H, W]`, `W [out, C / groups, S]`, `D [C, K, S]` (the
/// residual; absent for 1×1 kernels), `d_diag [C, K, S]` (optional: the identity where it is absent), `bias [out]`
/// (where the layer has one), `grad_output` (optional; the shape of the output), and optionally what the layer should
/// compute: `output`, `folded` (OIHW), `grad_input`, `grad_W`, `grad_D` and `grad_bias`.
///
/// The metadata entry `layer` holds the attributes as JSON:
///
/// | attribute | value | default |
/// |---|---|---|
/// | `in_channels`, `out_channels` | a number | |
/// | `kernel_size` | a number, or `[rows, columns]` | |
/// | `d_mul` | depth multiplier S; 1×1 kernels have S = 1 whatever it says | K, the number of taps |
/// | `stride`, `dilation` | a number, or `[vertical, horizontal]` | 1 |
/// | `padding` | a number, `[vertical, horizontal]`, or `[top, left, bottom, right]` | 0 |
/// | `groups` | a number | 1 |
/// | `padding_mode` | `"zeros"`, `"reflect"`, `"replicate"` or `"circular"` | `"zeros"` |
/// | `bias` | `true` or `false` | whether there is a tensor `bias` |
/// | `pairing` | `"paper"` or `"torch"`: which D belongs to which channel | `"paper"` |
///
/// A one-dimensional layer has maps of three axes, `[N, C, L]`, and so have its results (`folded` is `[out, C / groups, K]`).
/// Its sizes are a number or a list of one; `padding` may also be `[before, after]`. It is run as one with kernels of
/// one row.
#[derive(Clone, Debug)]
pub struct LayerFile {
    layer: Layer,
    input: Tensor,
    grad_output: Option<Tensor>,
    recorded: Weights,
    /// Whether maps have three axes.
    flat: bool,
}

impl LayerFile {
    /// Reads a layer file.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`LayerFile::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Reads the bytes of a layer file; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if it is no safetensors file; [`Error::LayerFile`] if an attribute is missing, unknown or
    /// wrong, or a tensor is missing, unknown, mis-shaped or not finite.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let (tensors, metadata) = read_tensors(name, bytes)?;
        Self::new(tensors, &metadata).map_err(|reason| Error::LayerFile { name: name.into(), reason })
    }

    fn new(mut tensors: Weights, metadata: &Metadata) -> Result<Self, String> {
        let attributes = Attributes::read(metadata)?;
        for (name, tensor) in &tensors {
            let known = ["input", "W", "D", "d_diag", "bias", "grad_output"].contains(&name.as_str());
            if !known && !RESULTS.contains(&name.as_str()) {
                return Err(format!(
                    "unknown tensor `{name}`: a layer file holds input, W, D, d_diag, bias, grad_output, and as results {}",
                    RESULTS.join(", ")
                ));
            }
            if let Some(at) = tensor.data().iter().position(|value| !value.is_finite()) {
                return Err(format!("tensor `{name}`: value {at} is {}", tensor.data()[at]));
            }
        }
        let input = tensors.remove("input").ok_or("there is no tensor `input`")?;
        let flat = match input.shape().len() {
            3 => true,
            4 => false,
            _ => return Err(format!("tensor `input`: expected [N, C, H, W] or [N, C, L], got {:?}", input.shape())),
        };
        let conv = attributes.conv(flat, tensors.contains_key("bias"))?;
        let parameters = ["W", "D", "d_diag", "bias"].iter();
        let parameters = parameters.filter_map(|&name| Some((name.to_owned(), tensors.remove(name)?))).collect();
        let layer = Layer::new(conv, parameters).map_err(|error| error.to_string())?;
        let expand = |name: &str, tensor: Tensor| match *tensor.shape() {
            [n, c, l] if flat => tensor.reshape([n, c, 1, l]).map_err(|error| error.to_string()),
            _ if flat => Err(format!("tensor `{name}`: expected [N, C, L] like `input`, got {:?}", tensor.shape())),
            _ => Ok(tensor),
        };
        let input = expand("input", input)?;
        let shape = layer.output_shape(input.shape()).map_err(|error| error.to_string())?;
        let grad_output = tensors.remove("grad_output").map(|tensor| expand("grad_output", tensor)).transpose()?;
        if let Some(gradient) = grad_output.as_ref().filter(|gradient| gradient.shape() != shape) {
            let [wanted, got] = [&shape, gradient.shape()].map(|shape| describe(flat, shape));
            return Err(format!("tensor `grad_output`: expected the output's shape {wanted}, got {got}"));
        }
        let file = Self { layer, input, grad_output, recorded: tensors, flat };
        for (name, tensor) in &file.recorded {
            let wanted = file.result_shape(name, shape)?;
            if tensor.shape() != wanted {
                return Err(format!("tensor `{name}`: expected shape {wanted:?}, got {:?}", tensor.shape()));
            }
        }
        Ok(file)
    }

    /// The shape of a result as the file has it.
    fn result_shape(&self, name: &str, output: [usize; 4]) -> Result<Vec<usize>, String> {
        let (conv, parameters) = (self.layer.conv(), self.layer.parameters());
        let like = |parameter: &str, why: &str| {
            let tensor = parameters.get(parameter).ok_or_else(|| format!("tensor `{name}`: surplus: {why}"))?;
            Ok(tensor.shape().to_vec())
        };
        match name {
            "output" => Ok(self.squeeze(&output)),
            "folded" => Ok(self.squeeze(&conv.kernel_shape())),
            "grad_input" => Ok(self.squeeze(self.input.shape())),
            "grad_W" => like("W", "there is no W"),
            "grad_D" => like("D", "a 1×1 kernel has no D"),
            _ => like("bias", "the layer has no bias"),
        }
    }

    /// A shape without the axis that one-dimensional layers do not have.
    fn squeeze(&self, shape: &[usize]) -> Vec<usize> {
        match *shape {
            [a, b, _, d] if self.flat => vec![a, b, d],
            _ => shape.to_vec(),
        }
    }

    /// The layer.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// What it is run on, `[N, C, H, W]`; one-dimensional maps have one row.
    pub fn input(&self) -> &Tensor {
        &self.input
    }

    /// The gradient of the output, if the file has one; the same shape as the output.
    pub fn grad_output(&self) -> Option<&Tensor> {
        self.grad_output.as_ref()
    }

    /// What the file says that the layer computes, by the names of [`Layer::run`]'s results.
    pub fn recorded(&self) -> &Weights {
        &self.recorded
    }

    /// Results of [`Layer::run`] in the shapes that files have: without the row of one-dimensional maps.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a result is not one of this layer's.
    pub fn results(&self, results: Weights) -> Result<Weights> {
        let reshape = |(name, tensor): (String, Tensor)| {
            let shape = if tensor.shape().len() == 4 { self.squeeze(tensor.shape()) } else { tensor.shape().to_vec() };
            Ok((name, tensor.reshape(shape)?))
        };
        results.into_iter().map(reshape).collect()
    }
}

fn describe(flat: bool, shape: &[usize]) -> String {
    match *shape {
        [a, b, 1, d] if flat => format!("{:?}", [a, b, d]),
        _ => format!("{shape:?}"),
    }
}

/// The JSON object.
struct Attributes(Map<String, Value>);

impl Attributes {
    fn read(metadata: &Metadata) -> Result<Self, String> {
        let text = metadata
            .get(LAYER_KEY)
            .ok_or_else(|| format!("there is no metadata entry `{LAYER_KEY}` with the layer's attributes as JSON"))?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("metadata entry `{LAYER_KEY}` is no JSON: {error}"))?;
        let Value::Object(attributes) = value else {
            return Err(format!("metadata entry `{LAYER_KEY}` is no JSON object"));
        };
        if let Some(name) = attributes.keys().find(|name| !ATTRIBUTES.contains(&name.as_str())) {
            return Err(format!("unknown attribute `{name}`: a layer has {}", ATTRIBUTES.join(", ")));
        }
        Ok(Self(attributes))
    }

    fn conv(&self, flat: bool, has_bias: bool) -> Result<Conv2d, String> {
        let kernel = self.pair("kernel_size", flat, None)?;
        let bias = match self.get("bias") {
            None => has_bias,
            Some(Value::Bool(bias)) => *bias,
            Some(other) => return Err(format!("attribute `bias`: expected true or false, got {other}")),
        };
        let taps = kernel[0].saturating_mul(kernel[1]);
        let d_mul = match self.get("d_mul") {
            // The authors' layer ignores what is asked for here.
            _ if taps == 1 => 1,
            None => taps,
            Some(value) => number("d_mul", value)?,
        };
        let pairing = self.choice("pairing", &[("paper", Pairing::Paper), ("torch", Pairing::Torch)])?;
        let padding_mode = self.choice(
            "padding_mode",
            &[
                ("zeros", PaddingMode::Zeros),
                ("reflect", PaddingMode::Reflect),
                ("replicate", PaddingMode::Replicate),
                ("circular", PaddingMode::Circular),
            ],
        )?;
        Ok(Conv2d {
            stride: self.pair("stride", flat, Some(1))?,
            padding: self.padding(flat)?,
            dilation: self.pair("dilation", flat, Some(1))?,
            groups: self.get("groups").map_or(Ok(1), |value| number("groups", value))?,
            padding_mode,
            bias,
            doconv: Some(DoConv { d_mul, pairing }),
            ..Conv2d::new(self.count("in_channels")?, self.count("out_channels")?, kernel)
        })
    }

    /// An attribute that is there; `null` counts as absent.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn require(&self, name: &str) -> Result<&Value, String> {
        self.get(name).ok_or_else(|| format!("attribute `{name}` is missing"))
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        number(name, self.require(name)?)
    }

    /// A number for both axes, or one for each.
    fn pair(&self, name: &str, flat: bool, default: Option<usize>) -> Result<[usize; 2], String> {
        let value = match (self.get(name), default) {
            (None, Some(default)) => return Ok([default; 2]),
            _ => self.require(name)?,
        };
        let values = numbers(name, value)?;
        match (values.as_slice(), flat) {
            (&[along] | &[1, along], true) => Ok([1, along]),
            (_, true) => Err(format!("attribute `{name}`: expected one number for maps [N, C, L], got {value}")),
            (&[both], false) => Ok([both; 2]),
            (&[down, across], false) => Ok([down, across]),
            _ => Err(format!("attribute `{name}`: expected a number or two, got {value}")),
        }
    }

    /// Top, left, bottom, right.
    fn padding(&self, flat: bool) -> Result<[usize; 4], String> {
        let Some(value) = self.get("padding") else { return Ok([0; 4]) };
        // A kernel given as a pair means that everything is given as for two dimensions.
        let paired = matches!(self.get("kernel_size"), Some(Value::Array(list)) if list.len() == 2);
        match (numbers("padding", value)?.as_slice(), flat) {
            (&[both], true) => Ok([0, both, 0, both]),
            (&[0, across], true) if paired => Ok([0, across, 0, across]),
            (&[before, after], true) if !paired => Ok([0, before, 0, after]),
            (&[0, left, 0, right], true) => Ok([0, left, 0, right]),
            (_, true) => {
                Err(format!("attribute `padding`: expected one number or two for maps [N, C, L], got {value}"))
            }
            (&[all], false) => Ok([all; 4]),
            (&[down, across], false) => Ok([down, across, down, across]),
            (&[top, left, bottom, right], false) => Ok([top, left, bottom, right]),
            _ => Err(format!("attribute `padding`: expected a number, two or four, got {value}")),
        }
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(value) = self.get(name) else { return Ok(choices[0].1) };
        let found = choices.iter().find(|(known, _)| value.as_str() == Some(known));
        found.map(|&(_, choice)| choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(known, _)| format!("\"{known}\"")).collect();
            format!("attribute `{name}`: expected {}, got {value}", names.join(" or "))
        })
    }
}

fn number(name: &str, value: &Value) -> Result<usize, String> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("attribute `{name}`: expected a whole number, got {value}"))
}

/// A number alone, or a list of them.
fn numbers(name: &str, value: &Value) -> Result<Vec<usize>, String> {
    match value {
        Value::Array(values) => values.iter().map(|value| number(name, value)).collect(),
        value => Ok(vec![number(name, value)?]),
    }
}
