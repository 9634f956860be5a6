//! Resampling as Pillow does it, to the bit.
//!
//! Networks are trained and judged on images resampled by Pillow, so this follows its fixed-point arithmetic
//! (`Resample.c`): weights with 22 fractional bits, rows first, and 8 bits in between. A test compares with recorded
//! results. (Since version 13 Pillow begins with columns where that is less work, which for squares it is not.)

use crate::network::Filter;

/// Fractional bits of a weight: 32 less 8 for the pixel and 2 because weights may overshoot and be negative.
pub(crate) const FRACTION_BITS: u32 = 32 - 8 - 2;
/// Rows that are filtered together, so that the loop over them can use vectors.
const ROWS: usize = 8;

/// A rectangle of an RGB image: its first pixel, the bytes from one row to the next, and its size.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) rgb: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl View<'_> {
    /// The pixels as `width × height`, interleaved. The filter sees nothing outside of the rectangle.
    pub(super) fn resample(self, filter: Filter, width: usize, height: usize) -> Vec<u8> {
        let narrow = self.resample_rows(&weights(self.width, width, filter), width);
        resample_columns(&narrow, width * 3, &weights(self.height, height, filter))
    }

    /// Every row with another number of pixels.
    fn resample_rows(self, weights: &[Weights], width: usize) -> Vec<u8> {
        let mut out = vec![0; width * 3 * self.height];
        // Some rows side by side: element `x · 3 · ROWS + channel · ROWS + row`.
        let mut tile = vec![0u8; self.width * 3 * ROWS];
        for (block, out) in out.chunks_mut(width * 3 * ROWS).enumerate() {
            for row in 0..out.len() / (width * 3) {
                let from = &self.rgb[(block * ROWS + row) * self.stride..][..self.width * 3];
                for (&value, group) in from.iter().zip(tile.as_chunks_mut::<ROWS>().0) {
                    group[row] = value;
                }
            }
            for (x, weights) in weights.iter().enumerate() {
                let mut sums = [[HALF; ROWS]; 3];
                let pixels = tile.as_chunks::<ROWS>().0[weights.start * 3..].as_chunks::<3>().0;
                for (pixel, &weight) in pixels.iter().zip(&weights.fixed) {
                    for (sums, values) in sums.iter_mut().zip(pixel) {
                        for (sum, &value) in sums.iter_mut().zip(values) {
                            *sum += weight * i32::from(value);
                        }
                    }
                }
                for (row, out) in out.chunks_exact_mut(width * 3).enumerate() {
                    for (out, sums) in out[x * 3..].iter_mut().zip(sums) {
                        *out = to_8_bits(sums[row]);
                    }
                }
            }
        }
        out
    }
}

/// Another number of rows, each of `length` bytes.
fn resample_columns(rows: &[u8], length: usize, weights: &[Weights]) -> Vec<u8> {
    let mut out = Vec::with_capacity(length * weights.len());
    let mut sums = vec![];
    for weights in weights {
        sums.clear();
        sums.resize(length, HALF);
        for (row, &weight) in rows.chunks_exact(length).skip(weights.start).zip(&weights.fixed) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        out.extend(sums.iter().map(|&sum| to_8_bits(sum)));
    }
    out
}

/// One half, which makes dropping the fraction round to nearest.
const HALF: i32 = 1 << (FRACTION_BITS - 1);

fn to_8_bits(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

/// The weights of [`View::resample`] along one axis as shaders want them: `1 + taps` numbers for every output pixel,
/// the first input pixel and the weights of those from there on; weights that are not needed are 0.
pub(crate) struct WeightTable {
    pub(crate) taps: usize,
    pub(crate) values: Vec<i32>,
}

impl WeightTable {
    pub(crate) fn new(from: usize, to: usize, filter: Filter) -> Self {
        let weights = weights(from, to, filter);
        let taps = weights.iter().map(|weights| weights.fixed.len()).max().unwrap_or(0);
        let mut values = Vec::with_capacity(weights.len() * (1 + taps));
        for Weights { start, fixed } in &weights {
            values.push(*start as i32);
            values.extend(fixed);
            values.extend(std::iter::repeat_n(0, taps - fixed.len()));
        }
        Self { taps, values }
    }
}

/// What one output pixel takes from the input pixels from `start` on.
struct Weights {
    start: usize,
    fixed: Vec<i32>,
}

/// The weights of each of `to` pixels on `from` pixels. When shrinking, the filter is widened to see every pixel.
fn weights(from: usize, to: usize, filter: Filter) -> Vec<Weights> {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let radius = widening
        * match filter {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        };
    let weights_at = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        // The casts cut towards zero, and negative numbers to zero.
        let start = (centre - radius + 0.5) as usize;
        let end = ((centre + radius + 0.5) as usize).min(from);
        let exact: Vec<f64> =
            (start..end).map(|x| value_at(filter, (x as f64 - centre + 0.5) * (1.0 / widening))).collect();
        let sum: f64 = exact.iter().sum();
        let one = f64::from(1 << FRACTION_BITS);
        Weights { start, fixed: exact.iter().map(|weight| (weight / sum * one).round() as i32).collect() }
    };
    (0..to).map(weights_at).collect()
}

fn value_at(filter: Filter, x: f64) -> f64 {
    // Of the cubics that pass through the pixels, the one that follows parabolas.
    const A: f64 = -0.5;
    let x = x.abs();
    match filter {
        Filter::Bilinear => (1.0 - x).max(0.0),
        Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Filter::Bicubic => 0.0,
    }
}
