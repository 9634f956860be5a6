//! Transposes arrays.

use crate::{Result, Tensor};

/// The values of an array of `shape` whose axes are put in another order: axis `i` of the result is `axes[i]` of the
/// array. Both are row-major.
pub(super) fn permuted(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let extents: Vec<(usize, usize)> = axes.iter().map(|&axis| (shape[axis], strides[axis])).collect();
    let mut index = vec![0; axes.len()];
    let mut at = 0;
    let mut result = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        result.push(values[at]);
        for (index, &(extent, stride)) in index.iter_mut().zip(&extents).rev() {
            *index += 1;
            at += stride;
            if *index < extent {
                break;
            }
            at -= extent * stride;
            *index = 0;
        }
    }
    result
}

/// A tensor with its axes in another order.
pub(super) fn permute(tensor: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let shape: Vec<usize> = axes.iter().map(|&axis| tensor.shape()[axis]).collect();
    Tensor::new(shape, permuted(tensor.data(), tensor.shape(), axes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_change_places() {
        let tensor = Tensor::new([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let transposed = Tensor::new([3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).unwrap();
        assert_eq!(permute(&tensor, &[1, 0]).unwrap(), transposed);
        let cube = Tensor::new([2, 3, 4], (0..24).map(|value| value as f32).collect()).unwrap();
        let turned = permute(&cube, &[2, 0, 1]).unwrap();
        assert_eq!(turned.shape(), [4, 2, 3]);
        // [3, 1, 2] of the one is [1, 2, 3] of the other.
        assert_eq!(turned.data()[(3 * 2 + 1) * 3 + 2], cube.data()[(3 + 2) * 4 + 3]);
        assert_eq!(permute(&turned, &[1, 2, 0]).unwrap(), cube);
        assert_eq!(permute(&Tensor::zeros([2, 0]), &[1, 0]).unwrap().shape(), [0, 2]);
    }
}
