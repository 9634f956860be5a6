//! Arrays of 32-bit floats with a shape.

use std::sync::Arc;

use crate::{Error, Result};

/// A dense row-major array of `f32`: the only number type outside files and devices.
///
/// Images and feature maps are NCHW (batch, channel, row, column); convolution kernels are OIHW
/// (output channel, input channel within its group, row, column).
///
/// A clone shares the values until one of the two is changed: cloning costs the same whatever the size.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Arc<Vec<f32>>,
}

impl Tensor {
    /// Wraps `data`, whose length must be the product of `shape`.
    ///
    /// ```
    /// let t = doconv::Tensor::new([2, 3], vec![0.0; 6])?;
    /// assert_eq!(t.shape(), [2, 3]);
    /// # Ok::<(), doconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if length and shape disagree.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        match element_count(&shape) {
            Some(count) if count == data.len() => Ok(Self { shape, data: Arc::new(data) }),
            _ => Err(Error::Shape { shape, values: data.len() }),
        }
    }

    /// A tensor of zeros.
    ///
    /// # Panics
    /// If the element count overflows `usize`.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let count = element_count(&shape).expect("element count fits usize");
        Self { shape, data: Arc::new(vec![0.0; count]) }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, last axis fastest.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, to be changed in place. They are copied first where another tensor shares them.
    pub fn data_mut(&mut self) -> &mut [f32] {
        Arc::make_mut(&mut self.data).as_mut_slice()
    }

    /// The values; a copy where another tensor shares them.
    pub fn into_data(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.data)
    }

    /// The values, shared with other tensors.
    pub(crate) fn into_shared(self) -> Arc<Vec<f32>> {
        self.data
    }

    /// The same values under another shape of the same element count.
    ///
    /// # Errors
    /// [`Error::Shape`] if the element counts differ.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        match element_count(&shape) == Some(self.data.len()) {
            true => Ok(Self { shape, ..self }),
            false => Err(Error::Shape { shape, values: self.data.len() }),
        }
    }
}

/// The product of `shape`, or `None` where it overflows.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
}
