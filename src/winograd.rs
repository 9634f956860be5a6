//! Winograd's minimal filtering, F(m×m, 3×3): tiles of m×m outputs from as many products per channel as the tile of inputs
//! has pixels, (m + 2)², instead of 9·m².
//!
//! `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` with a tile d of inputs and a kernel g (Lavin and Gray, *Fast Algorithms for
//! Convolutional Neural Networks*, 2016). Summed over channels the products at one place of the tile are a matrix product, so
//! there are (m + 2)² of them, and between the two transformations runs the same shader as for 1×1 convolutions.
//!
//! DO-Conv needs no kernel in between. G g Gᵀ is linear in the taps, so transforming D, `(G ⊗ G) D`, makes composing it
//! with W give the transformed kernel at once.

use crate::network::{Conv2d, PaddingMode};

/// How large the tiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Winograd {
    /// F(2×2, 3×3): 16 products for 4 outputs, 2.25 times fewer than there are taps.
    F2,
    /// F(4×4, 3×3): 36 products for 16 outputs, 4 times fewer; results are a decimal digit less exact.
    F4,
}

const INPUT_2: [[f64; 4]; 4] =
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
const KERNEL_2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const OUTPUT_2: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];

const INPUT_4: [[f64; 6]; 6] = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
const KERNEL_4: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
const OUTPUT_4: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
    [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
];

fn rows<const N: usize, const M: usize>(matrix: &[[f64; N]; M]) -> Vec<Vec<f64>> {
    matrix.iter().map(|row| row.to_vec()).collect()
}

impl Winograd {
    /// Both sizes.
    pub const ALL: [Self; 2] = [Self::F2, Self::F4];

    /// Whether it can run a convolution: 3×3, stride 1, undilated, ungrouped, with zeros around and whole slices on both
    /// sides.
    pub fn can_run(conv: &Conv2d) -> bool {
        conv.kernel == [3, 3]
            && conv.stride == [1, 1]
            && conv.dilation == [1, 1]
            && conv.groups == 1
            && conv.padding_mode == PaddingMode::Zeros
            && conv.in_channels.is_multiple_of(4)
            && conv.out_channels.is_multiple_of(4)
    }

    /// Rows of outputs of a tile: m.
    pub fn outputs(self) -> usize {
        match self {
            Self::F2 => 2,
            Self::F4 => 4,
        }
    }

    /// Rows of inputs of a tile: m + 2.
    pub fn side(self) -> usize {
        self.outputs() + 2
    }

    /// Products per channel of a tile, and places of a transformed kernel: (m + 2)².
    pub fn places(self) -> usize {
        self.side().pow(2)
    }

    /// Tiles along rows and columns of a map of this height and width.
    pub fn tiles(self, size: [usize; 2]) -> [usize; 2] {
        size.map(|extent| extent.div_ceil(self.outputs()))
    }

    /// Products per channel for a map of this height and width, those of its borders included.
    pub fn products(self, size: [usize; 2]) -> usize {
        let [rows, columns] = self.tiles(size);
        rows * columns * self.places()
    }

    /// Bᵀ, which transforms inputs.
    pub fn input(self) -> Vec<Vec<f64>> {
        match self {
            Self::F2 => rows(&INPUT_2),
            Self::F4 => rows(&INPUT_4),
        }
    }

    /// Aᵀ, which transforms products back.
    pub fn output(self) -> Vec<Vec<f64>> {
        match self {
            Self::F2 => rows(&OUTPUT_2),
            Self::F4 => rows(&OUTPUT_4),
        }
    }

    /// G, which transforms kernels.
    pub fn kernel(self) -> Vec<Vec<f64>> {
        match self {
            Self::F2 => rows(&KERNEL_2),
            Self::F4 => rows(&KERNEL_4),
        }
    }

    /// Transforms kernels, or columns of D: `[9 taps][anything]` to `[places][anything]`.
    pub fn transform(self, taps: &[f32]) -> Vec<f32> {
        match self {
            Self::F2 => transform(&KERNEL_2, taps),
            Self::F4 => transform(&KERNEL_4, taps),
        }
    }
}

/// A large network has a million kernels, which somebody waits for: so many of them side by side fill vector registers.
const KERNELS: usize = 8;

fn transform(g: &[[f64; 3]], taps: &[f32]) -> Vec<f32> {
    let (side, count) = (g.len(), taps.len() / 9);
    let mut transformed = vec![0.0; side * side * count];
    for first in (0..count).step_by(KERNELS) {
        let some = first..count.min(first + KERNELS);
        let mut kernels = [[0.0; KERNELS]; 9];
        for (tap, kernels) in kernels.iter_mut().enumerate() {
            let values = &taps[tap * count..][some.clone()];
            kernels.iter_mut().zip(values).for_each(|(kernel, &value)| *kernel = f64::from(value));
        }
        for (i, row) in g.iter().enumerate() {
            let down = [0, 1, 2].map(|x| dot(row, [&kernels[x], &kernels[3 + x], &kernels[6 + x]]));
            for (j, column) in g.iter().enumerate() {
                let place = &mut transformed[(i * side + j) * count..][some.clone()];
                let values = dot(column, [&down[0], &down[1], &down[2]]);
                place.iter_mut().zip(values).for_each(|(place, value)| *place = value as f32);
            }
        }
    }
    transformed
}

fn dot(row: &[f64; 3], with: [&[f64; KERNELS]; 3]) -> [f64; KERNELS] {
    std::array::from_fn(|at| row[0] * with[0][at] + row[1] * with[1][at] + row[2] * with[2][at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let entry = |row: &[f64], column: usize| row.iter().zip(b).map(|(x, other)| x * other[column]).sum();
        a.iter().map(|row| (0..b[0].len()).map(|column| entry(row, column)).collect()).collect()
    }

    fn transposed(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
        (0..a[0].len()).map(|column| a.iter().map(|row| row[column]).collect()).collect()
    }

    #[test]
    fn a_tile_is_what_the_taps_give() {
        let mut random = oorandom::Rand64::new(3);
        for size in Winograd::ALL {
            let (m, side) = (size.outputs(), size.side());
            let mut draw = |rows: usize, columns: usize| -> Vec<Vec<f64>> {
                (0..rows).map(|_| (0..columns).map(|_| f64::from(random.rand_float() as f32) - 0.5).collect()).collect()
            };
            let (inputs, kernel) = (draw(side, side), draw(3, 3));
            let flat: Vec<f32> = kernel.iter().flatten().map(|&tap| tap as f32).collect();
            let transformed = size.transform(&flat);
            let (b, a) = (size.input(), size.output());
            let of_inputs = product(&product(&b, &inputs), &transposed(&b));
            let products: Vec<Vec<f64>> = of_inputs
                .iter()
                .zip(transformed.chunks(side))
                .map(|(row, kernel)| row.iter().zip(kernel).map(|(x, &g)| x * f64::from(g)).collect())
                .collect();
            let outputs = product(&product(&a, &products), &transposed(&a));
            for y in 0..m {
                for x in 0..m {
                    let taps = (0..9).map(|tap| kernel[tap / 3][tap % 3] * inputs[y + tap / 3][x + tap % 3]);
                    let want: f64 = taps.sum();
                    assert!((outputs[y][x] - want).abs() < 1e-5, "{size:?}: {} instead of {want}", outputs[y][x]);
                }
            }
        }
    }

    #[test]
    fn kernels_side_by_side_are_transformed_each_by_itself() {
        let mut random = oorandom::Rand32::new(4);
        for count in [1, KERNELS, KERNELS + 3] {
            let taps: Vec<f32> = (0..9 * count).map(|_| random.rand_float() - 0.5).collect();
            let together = Winograd::F4.transform(&taps);
            for at in 0..count {
                let of = |values: &[f32]| values.iter().copied().skip(at).step_by(count).collect::<Vec<f32>>();
                assert_eq!(of(&together), Winograd::F4.transform(&of(&taps)), "{at} of {count}");
            }
        }
    }

    #[test]
    fn borders_cost_whole_tiles() {
        assert_eq!(Winograd::F4.products([8, 8]), 4 * 36);
        assert_eq!(Winograd::F4.products([7, 9]), 6 * 36);
        assert_eq!(Winograd::F2.products([7, 7]), 16 * 16);
    }
}
