//! Named tensors in safetensors files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use half::{bf16, f16};
use safetensors::tensor::{TensorInfo, View};
use serde::Deserialize;

use super::onnx::{Array, Data};
use crate::tensor::element_count;
use crate::{Error, Result, Tensor, Weights};

/// A file's textual metadata: name and value.
pub type Metadata = BTreeMap<String, String>;

/// How numbers are stored in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit floats: exact.
    #[default]
    F32,
    /// 16-bit floats: half the size, 11 significant bits, magnitudes up to 65504.
    F16,
}

/// Reads every floating-point tensor of a safetensors file, such as a PyTorch state dict, and the file's metadata.
///
/// F16, BF16 and F64 become f32. PyTorch's integer counters called `num_batches_tracked` are skipped. Values are not
/// judged: NaN and infinities are kept. `name` stands for the file in errors.
///
/// # Errors
/// [`Error::TensorFile`] if the container is broken, a tensor has another element type, or an f64 does not fit f32.
pub fn read_tensors(name: &str, bytes: &[u8]) -> Result<(Weights, Metadata)> {
    let fail = |reason: String| Error::TensorFile { name: name.into(), reason };
    let (header, data) = split_header(bytes).map_err(fail)?;
    check_layout(&header, data.len()).map_err(fail)?;
    let mut tensors = Weights::new();
    for (tensor, info) in header.tensors {
        if is_counter(&tensor) && !is_float(info.dtype) {
            continue;
        }
        let (start, end) = info.data_offsets;
        let values =
            to_f32(info.dtype, &data[start..end]).map_err(|reason| fail(format!("tensor `{tensor}`: {reason}")))?;
        tensors.insert(tensor, Tensor::new(info.shape, values)?);
    }
    Ok((tensors, header.metadata))
}

/// Reads every tensor of a safetensors file, floats and integers.
///
/// F16, BF16 and F64 become f32, and integers i64. `name` stands for the file in errors.
///
/// # Errors
/// Those of [`read_tensors`].
pub fn read_arrays(name: &str, bytes: &[u8]) -> Result<BTreeMap<String, Array>> {
    use safetensors::Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    let fail = |reason: String| Error::TensorFile { name: name.into(), reason };
    let (header, data) = split_header(bytes).map_err(fail)?;
    check_layout(&header, data.len()).map_err(fail)?;
    let mut arrays = BTreeMap::new();
    for (tensor, info) in header.tensors {
        let bytes = &data[info.data_offsets.0..info.data_offsets.1];
        let elements = match info.dtype {
            I64 => Data::I64(values(bytes, i64::from_le_bytes)),
            U64 => Data::I64(values(bytes, |b| u64::from_le_bytes(b) as i64)),
            I32 => Data::I64(values(bytes, |b| i64::from(i32::from_le_bytes(b)))),
            U32 => Data::I64(values(bytes, |b| i64::from(u32::from_le_bytes(b)))),
            I16 => Data::I64(values(bytes, |b| i64::from(i16::from_le_bytes(b)))),
            U16 => Data::I64(values(bytes, |b| i64::from(u16::from_le_bytes(b)))),
            I8 => Data::I64(values(bytes, |b| i64::from(i8::from_le_bytes(b)))),
            U8 => Data::I64(values(bytes, |[b]| i64::from(b))),
            BOOL => Data::Bool(values(bytes, |[b]| b != 0)),
            float => Data::F32(to_f32(float, bytes).map_err(|reason| fail(format!("tensor `{tensor}`: {reason}")))?),
        };
        let misfit = || fail(format!("tensor `{tensor}` does not fit its shape"));
        let array = Array::new(info.shape, elements).ok_or_else(misfit)?;
        arrays.insert(tensor, array);
    }
    Ok(arrays)
}

/// The bytes of a safetensors file with these tensors and metadata.
///
/// # Errors
/// [`Error::Weight`] if a finite value is too large for `dtype`; [`Error::Unsupported`] if the description of the
/// tensors and the metadata exceed what a header may hold (100 MB).
pub fn write_tensors<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: &Metadata,
    dtype: Dtype,
) -> Result<Vec<u8>> {
    let stored = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, Stored::new(name, tensor, dtype)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect());
    safetensors::serialize(stored, metadata)
        .map_err(|error| Error::Unsupported(format!("these tensors cannot be written as safetensors: {error}")))
}

/// Whether a tensor is one of PyTorch's batch counters, which inference has no use for.
pub(crate) fn is_counter(tensor: &str) -> bool {
    tensor.rsplit('.').next() == Some("num_batches_tracked")
}

fn is_float(dtype: safetensors::Dtype) -> bool {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    matches!(dtype, F16 | BF16 | F32 | F64)
}

fn to_f32(dtype: safetensors::Dtype, bytes: &[u8]) -> Result<Vec<f32>, String> {
    match dtype {
        safetensors::Dtype::F32 => Ok(values(bytes, f32::from_le_bytes)),
        safetensors::Dtype::F16 => Ok(values(bytes, |b| f16::from_le_bytes(b).to_f32())),
        safetensors::Dtype::BF16 => Ok(values(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        safetensors::Dtype::F64 => narrow(&values(bytes, f64::from_le_bytes)),
        other => Err(format!("the element type {other} cannot be read; F32, F16, BF16 and F64 can")),
    }
}

/// Wide numbers as 32-bit floats, if all finite ones fit.
pub(super) fn narrow(wide: &[f64]) -> Result<Vec<f32>, String> {
    match wide.iter().position(|&value| value.is_finite() && (value as f32).is_infinite()) {
        Some(at) => Err(format!("value {at} is {:e}, which does not fit 32-bit floats", wide[at])),
        None => Ok(wide.iter().map(|&value| value as f32).collect()),
    }
}

/// The metadata of a safetensors file.
pub(super) fn read_metadata(bytes: &[u8]) -> Result<Metadata, String> {
    Ok(split_header(bytes)?.0.metadata)
}

/// The types of a safetensors file's numbers, such as `F16`; batch counters do not count.
///
/// # Errors
/// [`Error::TensorFile`] if the header is broken.
pub fn read_dtypes(name: &str, bytes: &[u8]) -> Result<BTreeSet<String>> {
    let (header, _) = split_header(bytes).map_err(|reason| Error::TensorFile { name: name.into(), reason })?;
    let numbers = header.tensors.iter().filter(|(name, info)| !is_counter(name) || is_float(info.dtype));
    Ok(numbers.map(|(_, info)| info.dtype.to_string()).collect())
}

fn values<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| from(chunk)).collect()
}

/// What the JSON at the start of a file says.
///
/// `safetensors::SafeTensors` reads the same, but its checks overflow on sizes near 2^64 and do not say what they found.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: Metadata,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// The parsed header, and the bytes after it. Nothing is allocated that the file does not really contain.
fn split_header(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(format!("it has {} bytes, and the header's length alone takes 8", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = parts else {
        return Err(format!(
            "its header claims {length} bytes, but only {} follow: truncated, or another kind of file",
            rest.len()
        ));
    };
    let header = serde_json::from_slice(header).map_err(|error| format!("its header cannot be read: {error}"))?;
    Ok((header, data))
}

/// Checks that the tensors lie side by side and fill the data exactly.
fn check_layout(header: &Header, data_length: usize) -> Result<(), String> {
    let mut in_order: Vec<_> = header.tensors.iter().collect();
    in_order.sort_unstable_by_key(|(_, info)| info.data_offsets);
    let mut end_of_last = 0;
    for (name, info) in in_order {
        let (start, end) = info.data_offsets;
        let bits = element_count(&info.shape).and_then(|count| count.checked_mul(info.dtype.bitsize()));
        let bytes = bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
        if bytes.is_none() || end.checked_sub(start) != bytes {
            return Err(format!(
                "tensor `{name}` of shape {:?} and type {} cannot lie at bytes {start} to {end}",
                info.shape, info.dtype
            ));
        }
        if start != end_of_last {
            return Err(format!(
                "tensor `{name}` starts at byte {start}, where {end_of_last} was expected: an overlap or a gap"
            ));
        }
        if end > data_length {
            return Err(format!(
                "tensor `{name}` ends at byte {end} of the data, but there are only {data_length}: truncated or damaged"
            ));
        }
        end_of_last = end;
    }
    if end_of_last != data_length {
        return Err(format!("its tensors take {end_of_last} bytes, but {data_length} follow the header"));
    }
    Ok(())
}

/// A tensor as it is going to lie in the file.
struct Stored<'a> {
    dtype: safetensors::Dtype,
    shape: &'a [usize],
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    fn new(name: &str, tensor: &'a Tensor, dtype: Dtype) -> Result<Self> {
        let kind = match dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
        };
        Ok(Self { dtype: kind, shape: tensor.shape(), bytes: float_bytes(name, tensor, dtype)? })
    }
}

/// A tensor's values as they lie in files: little endian.
///
/// # Errors
/// [`Error::Weight`] if a finite value is too large for `dtype`.
pub(super) fn float_bytes<'a>(name: &str, tensor: &'a Tensor, dtype: Dtype) -> Result<Cow<'a, [u8]>> {
    match dtype {
        Dtype::F32 if cfg!(target_endian = "little") => Ok(Cow::Borrowed(bytemuck::cast_slice(tensor.data()))),
        Dtype::F32 => Ok(tensor.data().iter().flat_map(|value| value.to_le_bytes()).collect()),
        Dtype::F16 => {
            let mut bytes = Vec::with_capacity(tensor.data().len() * 2);
            for (at, &value) in tensor.data().iter().enumerate() {
                let half = f16::from_f32(value);
                if half.is_infinite() && value.is_finite() {
                    return Err(Error::weight(
                        name,
                        format!("value {at} is {value:e}, which 16-bit floats (up to 65504) cannot hold; use f32"),
                    ));
                }
                bytes.extend(half.to_le_bytes());
            }
            Ok(bytes.into())
        }
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn file(dtype: safetensors::Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
        safetensors::serialize([("t", view)], None).unwrap()
    }

    #[test]
    fn every_float_type_is_read() {
        let values = [1.5f32, -2.0];
        let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let f64s: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        use safetensors::Dtype::{BF16, F16, F32, F64};
        for (dtype, bytes) in [(F32, f32s), (F16, f16s), (BF16, bf16s), (F64, f64s)] {
            let (tensors, _) = read_tensors("t", &file(dtype, &[1, 2], &bytes)).unwrap();
            assert_eq!(tensors["t"], Tensor::new([1, 2], values.to_vec()).unwrap());
        }
    }

    #[test]
    fn writing_and_reading_keeps_values_and_metadata() {
        let tensor = Tensor::new([3], vec![1.0, f32::NAN, f32::INFINITY]).unwrap();
        let metadata = Metadata::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        for dtype in [Dtype::F32, Dtype::F16] {
            let bytes = write_tensors([("x", &tensor)], &metadata, dtype).unwrap();
            let (tensors, read) = read_tensors("t", &bytes).unwrap();
            assert_eq!(read, metadata);
            let data = tensors["x"].data();
            assert!(data[0] == 1.0 && data[1].is_nan() && data[2] == f32::INFINITY);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let large = file(safetensors::Dtype::F64, &[1], &1e300f64.to_le_bytes());
        let error = read_tensors("big.safetensors", &large).unwrap_err().to_string();
        assert_eq!(
            error,
            "big.safetensors: not a valid safetensors file: tensor `t`: value 0 is 1e300, which does not fit 32-bit floats"
        );
        let tensor = Tensor::new([2], vec![1.0, 70000.0]).unwrap();
        let error = write_tensors([("x.weight", &tensor)], &Metadata::new(), Dtype::F16).unwrap_err().to_string();
        assert!(error.starts_with("tensor `x.weight`: value 1 is 7e4, which 16-bit floats"), "{error}");
        let integers = file(safetensors::Dtype::I64, &[1], &[0; 8]);
        let error = read_tensors("t", &integers).unwrap_err().to_string();
        assert!(error.contains("tensor `t`: the element type I64 cannot be read"), "{error}");
    }
}
