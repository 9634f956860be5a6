//! Arrays of the element types that ONNX files and their inputs have.

use half::{bf16, f16};

use super::proto::{TensorProto, tensor_proto::DataType};
use crate::tensor::element_count;

/// No constant may have more elements than this.
const MAX_ELEMENTS: usize = 1 << 28;

/// A dense row-major array: an input of a model, or a constant inside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    dims: Vec<usize>,
    data: Data,
}

/// The elements of an [`Array`]. Narrower types are widened: f16 and bf16 to f32, all integers to i64.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Integers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Data {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(values) => values.len(),
            Data::F64(values) => values.len(),
            Data::I64(values) => values.len(),
            Data::Bool(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<f32>> for Data {
    fn from(values: Vec<f32>) -> Self {
        Data::F32(values)
    }
}

impl From<Vec<f64>> for Data {
    fn from(values: Vec<f64>) -> Self {
        Data::F64(values)
    }
}

impl From<Vec<i64>> for Data {
    fn from(values: Vec<i64>) -> Self {
        Data::I64(values)
    }
}

impl From<Vec<bool>> for Data {
    fn from(values: Vec<bool>) -> Self {
        Data::Bool(values)
    }
}

impl Array {
    /// Wraps `data`; `None` if its length is not the product of `dims`.
    pub fn new(dims: impl Into<Vec<usize>>, data: impl Into<Data>) -> Option<Self> {
        let (dims, data) = (dims.into(), data.into());
        (element_count(&dims) == Some(data.len())).then_some(Self { dims, data })
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements, last axis fastest.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// A vector of integers.
    pub(super) fn ints(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::I64(values) }
    }

    /// Whether the elements are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.data, Data::F32(_) | Data::F64(_))
    }

    /// All elements as f32.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(values) => values.clone(),
            Data::F64(values) => values.iter().map(|&value| value as f32).collect(),
            Data::I64(values) => values.iter().map(|&value| value as f32).collect(),
            Data::Bool(values) => values.iter().map(|&value| f32::from(u8::from(value))).collect(),
        }
    }

    /// All elements as f64.
    pub(super) fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::F64(values) => values.clone(),
            Data::I64(values) => values.iter().map(|&value| value as f64).collect(),
            Data::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        }
    }

    /// All elements as integers; floats are cut off.
    pub(super) fn to_i64(&self) -> Vec<i64> {
        match &self.data {
            Data::F32(values) => values.iter().map(|&value| value as i64).collect(),
            Data::F64(values) => values.iter().map(|&value| value as i64).collect(),
            Data::I64(values) => values.clone(),
            Data::Bool(values) => values.iter().map(|&value| i64::from(value)).collect(),
        }
    }

    /// All elements as truth values.
    pub(super) fn to_bool(&self) -> Vec<bool> {
        match &self.data {
            Data::F32(values) => values.iter().map(|&value| value != 0.0).collect(),
            Data::F64(values) => values.iter().map(|&value| value != 0.0).collect(),
            Data::I64(values) => values.iter().map(|&value| value != 0).collect(),
            Data::Bool(values) => values.clone(),
        }
    }

    /// The same elements under other extents of the same count.
    pub(super) fn with_dims(&self, dims: impl Into<Vec<usize>>) -> Option<Self> {
        Self::new(dims, self.data.clone())
    }

    /// The array of these extents whose elements lie at `offset` plus the index times `strides`.
    pub(super) fn strided(&self, dims: &[usize], offset: isize, strides: &[isize]) -> Self {
        let offsets = Offsets::new(dims, offset, strides);
        let data = match &self.data {
            Data::F32(values) => Data::F32(offsets.map(|at| values[at]).collect()),
            Data::F64(values) => Data::F64(offsets.map(|at| values[at]).collect()),
            Data::I64(values) => Data::I64(offsets.map(|at| values[at]).collect()),
            Data::Bool(values) => Data::Bool(offsets.map(|at| values[at]).collect()),
        };
        Self { dims: dims.to_vec(), data }
    }

    /// With its axes in another order: axis `i` of the result is axis `permutation[i]`.
    pub(super) fn permuted(&self, permutation: &[usize]) -> Self {
        let strides = self.strides();
        let dims: Vec<usize> = permutation.iter().map(|&axis| self.dims[axis]).collect();
        let strides: Vec<isize> = permutation.iter().map(|&axis| strides[axis]).collect();
        self.strided(&dims, 0, &strides)
    }

    /// Repeated along axes of extent 1 and along new leading axes; `dims` must be what it broadcasts to.
    pub(super) fn broadcast(&self, dims: &[usize]) -> Self {
        let own = self.strides();
        let lead = dims.len() - self.dims.len();
        let stride = |axis: usize| match axis.checked_sub(lead) {
            Some(at) if self.dims[at] != 1 => own[at],
            _ => 0,
        };
        let strides: Vec<isize> = (0..dims.len()).map(stride).collect();
        self.strided(dims, 0, &strides)
    }

    /// Distances between neighbouring elements along every axis.
    pub(super) fn strides(&self) -> Vec<isize> {
        let mut strides = vec![1isize; self.dims.len()];
        for axis in (1..self.dims.len()).rev() {
            strides[axis - 1] = strides[axis] * self.dims[axis] as isize;
        }
        strides
    }

    /// Reads a tensor of a file; what it says about its size is believed only as far as there are data.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(tensor: &TensorProto) -> Result<Self, String> {
        let name = tensor.name();
        let fail = |reason: String| Err(format!("tensor `{name}`: {reason}"));
        let mut dims = vec![];
        for &extent in &tensor.dims {
            let Ok(extent) = usize::try_from(extent) else { return fail(format!("an extent is {extent}")) };
            dims.push(extent);
        }
        // Also without its zeros, so that no product of some extents can overflow.
        let extents: Vec<usize> = dims.iter().map(|&extent| extent.max(1)).collect();
        let small = element_count(&extents).is_some_and(|count| count <= MAX_ELEMENTS);
        let Some(count) = element_count(&dims).filter(|_| small) else {
            return fail(format!("its shape {dims:?} is too large"));
        };
        let Ok(kind) = DataType::try_from(tensor.data_type()) else {
            return fail(format!("the element type {} is unknown", tensor.data_type()));
        };
        let width = match kind {
            DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
            DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
            DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
            DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
            _ => return fail(format!("the element type {} is not supported", kind.as_str_name())),
        };
        let data = match &tensor.raw_data {
            Some(bytes) if bytes.len() != count * width => {
                return fail(format!(
                    "{count} elements of {width} bytes do not fit the {} bytes of its data",
                    bytes.len()
                ));
            }
            Some(bytes) => raw(kind, bytes),
            None => typed(kind, tensor),
        };
        if data.len() != count {
            return fail(format!("a shape of {dims:?} does not fit its {} elements", data.len()));
        }
        Ok(Self { dims, data })
    }
}

fn values<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| from(chunk)).collect()
}

fn raw(kind: DataType, bytes: &[u8]) -> Data {
    match kind {
        DataType::Float => Data::F32(values(bytes, f32::from_le_bytes)),
        DataType::Double => Data::F64(values(bytes, f64::from_le_bytes)),
        DataType::Float16 => Data::F32(values(bytes, |b| f16::from_le_bytes(b).to_f32())),
        DataType::Bfloat16 => Data::F32(values(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        DataType::Int32 => Data::I64(values(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        DataType::Uint32 => Data::I64(values(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        DataType::Uint64 => Data::I64(values(bytes, |b| u64::from_le_bytes(b) as i64)),
        DataType::Int16 => Data::I64(values(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        DataType::Uint16 => Data::I64(values(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        DataType::Int8 => Data::I64(values(bytes, |b| i64::from(i8::from_le_bytes(b)))),
        DataType::Uint8 => Data::I64(values(bytes, |[b]| i64::from(b))),
        DataType::Bool => Data::Bool(values(bytes, |[b]| b != 0)),
        _ => Data::I64(values(bytes, i64::from_le_bytes)),
    }
}

fn typed(kind: DataType, tensor: &TensorProto) -> Data {
    let bits = |value: &i32| *value as u16;
    match kind {
        DataType::Float => Data::F32(tensor.float_data.clone()),
        DataType::Double => Data::F64(tensor.double_data.clone()),
        DataType::Float16 => Data::F32(tensor.int32_data.iter().map(|v| f16::from_bits(bits(v)).to_f32()).collect()),
        DataType::Bfloat16 => Data::F32(tensor.int32_data.iter().map(|v| bf16::from_bits(bits(v)).to_f32()).collect()),
        DataType::Int64 => Data::I64(tensor.int64_data.clone()),
        DataType::Uint32 | DataType::Uint64 => Data::I64(tensor.uint64_data.iter().map(|&v| v as i64).collect()),
        DataType::Bool => Data::Bool(tensor.int32_data.iter().map(|&v| v != 0).collect()),
        _ => Data::I64(tensor.int32_data.iter().map(|&v| i64::from(v)).collect()),
    }
}

/// Positions of an array's elements in another one's memory, last axis fastest.
struct Offsets<'a> {
    dims: &'a [usize],
    strides: &'a [isize],
    index: Vec<usize>,
    at: isize,
    left: usize,
}

impl<'a> Offsets<'a> {
    fn new(dims: &'a [usize], offset: isize, strides: &'a [isize]) -> Self {
        Self { dims, strides, index: vec![0; dims.len()], at: offset, left: dims.iter().product() }
    }
}

impl Iterator for Offsets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at as usize;
        for axis in (0..self.dims.len()).rev() {
            self.index[axis] += 1;
            self.at += self.strides[axis];
            if self.index[axis] < self.dims[axis] {
                break;
            }
            self.at -= self.strides[axis] * self.dims[axis] as isize;
            self.index[axis] = 0;
        }
        Some(at)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Positions of the elements of an array of these extents and strides.
pub(super) fn offsets(dims: &[usize], strides: &[isize]) -> Vec<usize> {
    Offsets::new(dims, 0, strides).collect()
}
