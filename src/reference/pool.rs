//! Pooling, with PyTorch's rules for padding and `ceil_mode`.

use super::Map;
use super::elementwise::larger;
use crate::network::{AvgPool, MaxPool};

/// PyTorch's output size along one axis.
fn output_size(size: usize, kernel: usize, stride: usize, padding: (usize, usize), ceil_mode: bool) -> usize {
    let free = size + padding.0 + padding.1 - kernel;
    if !ceil_mode {
        return free / stride + 1;
    }
    let count = free.div_ceil(stride) + 1;
    // The last window must start inside the input or the padding before it.
    if (count - 1) * stride >= size + padding.0 { count - 1 } else { count }
}

/// Maximum over windows; padding never wins, and NaN always does.
pub fn max_pool(pool: &MaxPool, input: &Map) -> Map {
    let [batch, channels, height, width] = input.shape;
    let [top, left, bottom, right] = pool.padding;
    let reach = [0, 1].map(|axis| (pool.kernel[axis] - 1) * pool.dilation[axis] + 1);
    let out_height = output_size(height, reach[0], pool.stride[0], (top, bottom), pool.ceil_mode);
    let out_width = output_size(width, reach[1], pool.stride[1], (left, right), pool.ceil_mode);
    Map::from_fn([batch, channels, out_height, out_width], |n, c, y, x| {
        let mut largest = f64::NEG_INFINITY;
        for ky in 0..pool.kernel[0] {
            for kx in 0..pool.kernel[1] {
                let iy = (y * pool.stride[0] + ky * pool.dilation[0]) as isize - top as isize;
                let ix = (x * pool.stride[1] + kx * pool.dilation[1]) as isize - left as isize;
                if let Some(value) = input.get(n, c, iy, ix) {
                    largest = larger(largest, value);
                }
            }
        }
        largest
    })
}

/// Mean over windows.
///
/// With `count_include_pad` the divisor counts the positions in the padding, but not those which a window of
/// `ceil_mode` reaches beyond it.
pub fn avg_pool(pool: &AvgPool, input: &Map) -> Map {
    let [batch, channels, height, width] = input.shape;
    let [top, left, bottom, right] = pool.padding;
    let reach = [0, 1].map(|axis| (pool.kernel[axis] - 1) * pool.dilation[axis] + 1);
    let out_height = output_size(height, reach[0], pool.stride[0], (top, bottom), pool.ceil_mode);
    let out_width = output_size(width, reach[1], pool.stride[1], (left, right), pool.ceil_mode);
    Map::from_fn([batch, channels, out_height, out_width], |n, c, y, x| {
        let (mut sum, mut count) = (0.0, 0);
        for ky in 0..pool.kernel[0] {
            for kx in 0..pool.kernel[1] {
                // In the coordinates of the padded map.
                let py = y * pool.stride[0] + ky * pool.dilation[0];
                let px = x * pool.stride[1] + kx * pool.dilation[1];
                let value = input.get(n, c, py as isize - top as isize, px as isize - left as isize);
                sum += value.unwrap_or(0.0);
                let padded = py < top + height + bottom && px < left + width + right;
                if value.is_some() || (pool.count_include_pad && padded) {
                    count += 1;
                }
            }
        }
        sum / f64::from(count)
    })
}

/// Mean over all pixels of a channel.
pub fn global_avg_pool(input: &Map) -> Map {
    let [batch, channels, height, width] = input.shape;
    let pixels = height * width;
    Map::from_fn([batch, channels, 1, 1], |n, c, _, _| {
        input.data[(n * channels + c) * pixels..][..pixels].iter().sum::<f64>() / pixels as f64
    })
}

/// Maximum over all pixels of a channel, NaN where one is.
pub fn global_max_pool(input: &Map) -> Map {
    let [batch, channels, height, width] = input.shape;
    let pixels = height * width;
    Map::from_fn([batch, channels, 1, 1], |n, c, _, _| {
        input.data[(n * channels + c) * pixels..][..pixels].iter().copied().fold(f64::NEG_INFINITY, larger)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(data: &[f64]) -> Map {
        Map { shape: [1, 1, 1, data.len()], data: data.to_vec() }
    }

    #[test]
    fn the_divisor_is_that_of_pytorch() {
        // torch.nn.functional.avg_pool2d on 1 2 3 4, kernel (1, 3), stride 2, padding (0, 1), ceil_mode: the last
        // window starts at 3, has one element of the map and one of the padding, and reaches one beyond.
        let pool = |count_include_pad| AvgPool {
            kernel: [1, 3],
            stride: [1, 2],
            padding: [0, 1, 0, 1],
            dilation: [1, 1],
            ceil_mode: true,
            count_include_pad,
        };
        let input = row(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(avg_pool(&pool(true), &input).data, [1.0, 3.0, 2.0]);
        assert_eq!(avg_pool(&pool(false), &input).data, [1.5, 3.0, 4.0]);
    }

    #[test]
    fn padding_never_wins_a_maximum() {
        let pool =
            MaxPool { kernel: [1, 2], stride: [1, 2], padding: [0, 1, 0, 0], dilation: [1, 1], ceil_mode: false };
        assert_eq!(max_pool(&pool, &row(&[-5.0, -2.0, -3.0])).data, [-5.0, -2.0]);
    }
}
