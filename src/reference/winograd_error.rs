//! The error estimate of a Winograd convolution, which is less exact than a direct one.

use super::Map;
use super::interpreter::ConvKernel;
use super::rounding::{OPERATIONS, UNIT};
use crate::network::Conv2d;
use crate::winograd::Winograd;

/// The typical error of every output, if the inputs are exact: that of transforming inputs and kernels, of adding up products,
/// and of transforming back, each as if it were independent of the others. All outputs of a tile have it, also where the tile
/// holds large values that they do not see.
pub(super) fn error(conv: &Conv2d, size: Winograd, input: &Map, kernel: &ConvKernel, bias: Option<&[f64]>) -> Map {
    let [batch, channels, height, width] = input.shape;
    let [top, left, bottom, right] = conv.padding;
    let (out_height, out_width) = (height + top + bottom - 2, width + left + right - 2);
    let (m, side) = (size.outputs(), size.side());
    let (b, g, a) = (size.input(), size.kernel(), size.output());
    let (b_magnitude, g_magnitude, a_square) = (map(&b, f64::abs), map(&g, f64::abs), map(&a, |x| x * x));
    let kernels: Vec<Transformed> = kernel
        .kernel
        .chunks(9)
        .zip(kernel.magnitude.chunks(9))
        .map(|(taps, sizes)| Transformed {
            values: two_sided(&g, taps, 3),
            errors: scaled(two_sided(&g_magnitude, sizes, 3), OPERATIONS * UNIT),
        })
        .collect();
    let [rows, columns] = size.tiles([out_height, out_width]);
    let growth = UNIT * (OPERATIONS + (kernel.terms as f64).sqrt());
    let mut output = Map::from_fn([batch, conv.out_channels, out_height, out_width], |_, o, _, _| {
        OPERATIONS * UNIT * bias.map_or(0.0, |bias| bias[o].abs())
    });
    for at in 0..batch * rows * columns {
        let (n, row, column) = (at / columns / rows, at / columns % rows, at % columns);
        let tile = |c: usize| {
            let pixel = |at: usize| {
                let (y, x) = (row * m + at / side, column * m + at % side);
                // What a tile sees beyond the padding is nothing.
                let seen = (y < out_height + 2 && x < out_width + 2)
                    .then(|| (y as isize - top as isize, x as isize - left as isize));
                seen.and_then(|(y, x)| input.continued(conv.padding_mode, n, c, y, x)).unwrap_or(0.0)
            };
            let pixels: Vec<f64> = (0..side * side).map(pixel).collect();
            let sizes: Vec<f64> = pixels.iter().map(|pixel| pixel.abs()).collect();
            let errors = scaled(two_sided(&b_magnitude, &sizes, side), 2.0 * UNIT);
            Transformed { values: two_sided(&b, &pixels, side), errors }
        };
        let tiles: Vec<Transformed> = (0..channels).map(tile).collect();
        for o in 0..conv.out_channels {
            // Of every product, the variance, and the square.
            let products: Vec<[f64; 2]> = (0..side * side)
                .map(|at| {
                    let pairs = kernels[o * channels..][..channels].iter().zip(&tiles);
                    let (mut sum, mut magnitude, mut variance) = (0.0, 0.0, 0.0);
                    for (kernel, tile) in pairs {
                        let product = kernel.values[at] * tile.values[at];
                        sum += product;
                        magnitude += product.abs();
                        variance += (kernel.values[at] * tile.errors[at]).powi(2);
                        variance += (kernel.errors[at] * tile.values[at]).powi(2);
                    }
                    [variance + (growth * magnitude).powi(2), sum * sum]
                })
                .collect();
            let back = [0, 1].map(|part| {
                let part: Vec<f64> = products.iter().map(|product| product[part]).collect();
                two_sided(&a_square, &part, side)
            });
            for y in row * m..out_height.min(row * m + m) {
                for x in column * m..out_width.min(column * m + m) {
                    let (at, place) = (
                        ((n * conv.out_channels + o) * out_height + y) * out_width + x,
                        (y - row * m) * m + x - column * m,
                    );
                    output.data[at] += back[0][place].sqrt() + OPERATIONS * UNIT * back[1][place].sqrt();
                }
            }
        }
    }
    output
}

/// A transformed tile or kernel, and how far it may be off.
struct Transformed {
    values: Vec<f64>,
    errors: Vec<f64>,
}

fn map(matrix: &[Vec<f64>], function: fn(f64) -> f64) -> Vec<Vec<f64>> {
    matrix.iter().map(|row| row.iter().copied().map(function).collect()).collect()
}

fn scaled(values: Vec<f64>, factor: f64) -> Vec<f64> {
    values.into_iter().map(|value| value * factor).collect()
}

/// `M x Mᵀ` of a square x with this side, row by row.
fn two_sided(m: &[Vec<f64>], x: &[f64], side: usize) -> Vec<f64> {
    let half: Vec<f64> = m
        .iter()
        .flat_map(|row| (0..side).map(move |column| (0..side).map(|at| row[at] * x[at * side + column]).sum::<f64>()))
        .collect();
    let entry = |line: &[f64], row: &[f64]| line.iter().zip(row).map(|(x, y)| x * y).sum();
    half.chunks(side).flat_map(|line| m.iter().map(move |row| entry(line, row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_neighbours_in_a_tile_count() {
        let conv = Conv2d { padding: [1; 4], ..Conv2d::new(4, 4, [3, 3]) };
        let kernel = ConvKernel { kernel: vec![1.0; 4 * 4 * 9], magnitude: vec![1.0; 4 * 4 * 9], terms: 36 };
        let quiet = Map::from_fn([1, 4, 6, 7], |_, _, _, _| 1.0);
        let mut loud = quiet.clone();
        // In the first tile, and out of reach of its last output.
        loud.data[0] = 1e6;
        for size in Winograd::ALL {
            let [quiet, loud] = [&quiet, &loud].map(|input| error(&conv, size, input, &kernel, None));
            assert_eq!(quiet.shape, [1, 4, 6, 7]);
            let last = size.outputs() - 1;
            assert!(loud.at(0, 0, last, last) > 1e3 * quiet.at(0, 0, last, last), "{size:?}");
            assert_eq!(loud.at(0, 0, 5, 6), quiet.at(0, 0, 5, 6), "{size:?}: another tile");
        }
    }

    #[test]
    fn both_sides_are_multiplied() {
        let m = vec![vec![1.0, 2.0], vec![0.0, 3.0], vec![1.0, 0.0]];
        let expected = [27.0, 30.0, 7.0, 33.0, 36.0, 9.0, 5.0, 6.0, 1.0];
        assert_eq!(two_sided(&m, &[1.0, 2.0, 3.0, 4.0], 2), expected);
    }
}
