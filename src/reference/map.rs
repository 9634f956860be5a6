//! The only data type of the reference.

use crate::network::PaddingMode;
use crate::{Error, Result, Tensor};

/// A feature map in double precision: batch, channel, row, column, the last one fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    /// The values.
    pub data: Vec<f64>,
}

impl Map {
    /// Fills a map with `value(n, c, y, x)`.
    pub fn from_fn(shape: [usize; 4], mut value: impl FnMut(usize, usize, usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(shape.iter().product());
        for n in 0..shape[0] {
            for c in 0..shape[1] {
                for y in 0..shape[2] {
                    for x in 0..shape[3] {
                        data.push(value(n, c, y, x));
                    }
                }
            }
        }
        Self { shape, data }
    }

    /// The same values in double precision.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the tensor has not four axes.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let shape = tensor.shape().try_into().map_err(|_| {
            Error::Unsupported(format!("a map has four axes, the tensor has the shape {:?}", tensor.shape()))
        })?;
        Ok(Self { shape, data: tensor.data().iter().map(|&value| f64::from(value)).collect() })
    }

    /// One value.
    pub fn at(&self, n: usize, c: usize, y: usize, x: usize) -> f64 {
        let [_, channels, height, width] = self.shape;
        self.data[((n * channels + c) * height + y) * width + x]
    }

    /// The value at a place that may lie outside the map, where there is none.
    pub fn get(&self, n: usize, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, _, height, width] = self.shape;
        let inside = y >= 0 && x >= 0 && (y as usize) < height && (x as usize) < width;
        inside.then(|| self.at(n, c, y as usize, x as usize))
    }

    /// The value at a place that may lie outside the map, which continues as the mode says; none where it does not.
    pub fn continued(&self, mode: PaddingMode, n: usize, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, _, height, width] = self.shape;
        let row = continued(mode, y, height)?;
        let column = continued(mode, x, width)?;
        Some(self.at(n, c, row, column))
    }

    /// A function of every value by itself.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape, data: self.data.iter().map(|&value| function(value)).collect() }
    }

    /// A function of the values of two maps of one shape.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn zip(&self, other: &Self, function: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape, "maps of different shapes");
        let pairs = self.data.iter().zip(&other.data);
        Self { shape: self.shape, data: pairs.map(|(&a, &b)| function(a, b)).collect() }
    }
}

/// Walks from a place towards a row of `len` values until it is inside, step by step as the mode says.
pub(super) fn continued(mode: PaddingMode, mut at: isize, len: usize) -> Option<usize> {
    let len = len as isize;
    while at < 0 || at >= len {
        at = match mode {
            PaddingMode::Zeros => return None,
            PaddingMode::Reflect => {
                if at < 0 {
                    -at
                } else {
                    2 * (len - 1) - at
                }
            }
            PaddingMode::Replicate => {
                if at < 0 {
                    0
                } else {
                    len - 1
                }
            }
            PaddingMode::Circular => {
                if at < 0 {
                    at + len
                } else {
                    at - len
                }
            }
        };
    }
    Some(at as usize)
}
