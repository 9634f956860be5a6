//! What `torch.save` writes: a zip archive with a pickle in it (PyTorch 1.6 and later) or a row of pickles (before).

use std::collections::BTreeSet;

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader};

use super::decompression_limit::DecompressionLimit;
use super::pickle::refused_global;
use super::tensor_file::{is_counter, narrow};
use super::zip_archive;
use crate::{Tensor, Weights};

/// Keys under which training programs save the state dict among other things.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "module"];
/// A file of PyTorch before 1.6 begins with five pickles; the tensors' values follow.
const LEGACY_PICKLES: usize = 5;

/// Whether a file in a zip archive is the pickle of a PyTorch file.
pub(super) fn is_pickle(name: &str) -> bool {
    name == "data.pkl" || name.ends_with("/data.pkl")
}

/// Whether bytes begin like one of the pickles that older PyTorch wrote, or like any other.
pub(super) fn begins_like_a_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 0..=5, ..] | [b'c' | b'(' | b'}' | b']', ..]) && bytes.get(8) != Some(&b'{')
}

/// Reads the tensors of a state dict and the types of their numbers.
///
/// The reader carries out no instruction of the pickle but those that build tensors and containers.
pub(super) fn read(bytes: &[u8], budget: &mut DecompressionLimit) -> Result<(Weights, BTreeSet<String>), String> {
    refuse_globals(bytes, budget)?;
    let open = |key: Option<&str>| PytorchReader::from_bytes(bytes.to_vec(), key);
    let mut reader = open(None).map_err(|error| error.to_string())?;
    for key in WRAPPERS {
        let under = |name: &String| name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if !reader.tensors().keys().any(under) {
            continue;
        }
        // A parameter's own name may begin so too; only an entry of the outermost dictionary is a wrapper.
        if let Ok(inner) = open(Some(key)) {
            reader = inner;
            break;
        }
    }
    let mut weights = Weights::new();
    let mut dtypes = BTreeSet::new();
    for (name, tensor) in reader.into_tensors() {
        let dtype = tensor.dtype();
        let is_float = matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16);
        if is_counter(&name) && !is_float {
            continue;
        }
        let fail = |reason: String| format!("tensor `{name}`: {reason}");
        budget.take(&format!("tensor `{name}` of shape {:?}", tensor.shape()), tensor.byte_len() as u64)?;
        let bytes = tensor.read().map_err(|error| error.to_string())?;
        let values = to_f32(dtype, &bytes).map_err(fail)?;
        let tensor = Tensor::new(tensor.shape(), values).map_err(|error| fail(error.to_string()))?;
        dtypes.insert(format!("{dtype:?}"));
        weights.insert(name, tensor);
    }
    Ok((weights, dtypes))
}

fn refuse_globals(bytes: &[u8], budget: &mut DecompressionLimit) -> Result<(), String> {
    let refused = if zip_archive::is_zip(bytes) {
        let mut archive = zip_archive::open(bytes)?;
        let names = zip_archive::names(&archive)?;
        let pickles = (0..names.len()).filter(|&index| is_pickle(&names[index])).collect::<Vec<_>>();
        let mut refused = None;
        for index in pickles {
            refused = refused.or(refused_global(&zip_archive::read(&mut archive, index, budget)?, 1));
        }
        refused
    } else {
        refused_global(bytes, LEGACY_PICKLES)
    };
    match refused {
        Some(name) => Err(format!(
            "its pickle asks for the Python object `{}`, which no tensor needs, and which is refused; if the file is \
             yours, save only the weights: torch.save(model.state_dict(), …)",
            printable(&name)
        )),
        None => Ok(()),
    }
}

/// A name from the file, cut and without what a terminal would obey.
fn printable(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Numbers in the machine's byte order as 32-bit floats.
fn to_f32(dtype: DType, bytes: &[u8]) -> Result<Vec<f32>, String> {
    fn values<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&chunk| from(chunk)).collect()
    }
    match dtype {
        DType::F32 => Ok(values(bytes, f32::from_ne_bytes)),
        DType::F16 => Ok(values(bytes, |b| f16::from_ne_bytes(b).to_f32())),
        DType::BF16 => Ok(values(bytes, |b| bf16::from_ne_bytes(b).to_f32())),
        DType::F64 => narrow(&values(bytes, f64::from_ne_bytes)),
        other => Err(format!("the element type {other:?} cannot be read; F32, F16, BF16 and F64 can")),
    }
}
