//! Preprocessing: from an image to a network's input.

use super::Image;
use super::resample::View;
use crate::network::Preprocess;
use crate::{Error, Result};

/// Fills `out`, `[3, height, width]` or of luma `[1, height, width]`, with the central square of `image`, resized and normalised.
///
/// The square has the side `⌊crop_fraction · shorter side⌋`, at least 1, and lies half a pixel down and right where it
/// cannot be centred exactly, as in TensorFlow's EfficientNet code. Resizing works in 8 bits with the filter widened
/// when shrinking, and where width and height are equal it gives the same pixels as Pillow's
/// `image.crop(square).resize((width, height), filter)`. Then every value becomes `(value − mean) / std` of its channel.
///
/// # Errors
/// [`Error::Unsupported`] if `out` has neither of these lengths, or that is 0 or beyond 32 bits.
pub fn preprocess(image: &Image, how: &Preprocess, height: usize, width: usize, out: &mut [f32]) -> Result<()> {
    let area = height.checked_mul(width).filter(|area| !out.is_empty() && out.len().is_multiple_of(*area));
    let Some((area, channels @ (1 | 3))) = area.map(|area| (area, out.len() / area)) else {
        let reason = format!("neither a 3×{height}×{width} nor a 1×{height}×{width} input has {} values", out.len());
        return Err(Error::Unsupported(reason));
    };
    let resized = resized(image, how, height, width);
    if channels == 1 {
        for (value, &pixel) in out.iter_mut().zip(resized.as_chunks::<3>().0) {
            *value = (f32::from(luma(pixel)) - how.mean[0]) / how.std[0];
        }
        return Ok(());
    }
    for (channel, plane) in out.chunks_exact_mut(area).enumerate() {
        let (mean, std) = (how.mean[channel], how.std[channel]);
        for (value, pixel) in plane.iter_mut().zip(resized.as_chunks::<3>().0) {
            *value = (f32::from(pixel[channel]) - mean) / std;
        }
    }
    Ok(())
}

/// Luma as Pillow computes it (ITU-R BT.601).
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// The central square before it is normalised: rows of red, green and blue.
pub(crate) fn resized(image: &Image, how: &Preprocess, height: usize, width: usize) -> Vec<u8> {
    let square = Square::central([image.width, image.height], how.crop_fraction);
    square.view(image).resample(how.filter, width, height)
}

/// A square part of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Square {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) side: usize,
}

impl Square {
    /// The part of an image of this width and height that a network sees.
    pub(crate) fn central([width, height]: [usize; 2], fraction: f64) -> Self {
        let shorter = width.min(height);
        // The reference multiplies 32-bit floats, which decides on which side of a whole number the product falls.
        let side = ((fraction as f32 * shorter as f32) as usize).clamp(1, shorter);
        Self { left: (width - side).div_ceil(2), top: (height - side).div_ceil(2), side }
    }

    /// The square's pixels as a part of the image.
    fn view<'a>(&self, image: &'a Image) -> View<'a> {
        let first = (self.top * image.width + self.left) * 3;
        View { rgb: &image.rgb[first..], stride: image.width * 3, width: self.side, height: self.side }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Filter;

    const PLAIN: Preprocess = Preprocess { crop_fraction: 1.0, filter: Filter::Bicubic, mean: [0.0; 3], std: [1.0; 3] };

    fn coordinates(width: usize, height: usize) -> Image {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7])).collect();
        Image::from_rgb(width, height, rgb).unwrap()
    }

    fn run(image: &Image, how: &Preprocess, height: usize, width: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; 3 * height * width];
        preprocess(image, how, height, width, &mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()));
        out
    }

    #[test]
    fn the_square_is_central() {
        let square = |width, height, fraction| Square::central([width, height], fraction);
        assert_eq!(square(256, 256, 0.875), Square { left: 16, top: 16, side: 224 });
        assert_eq!(square(451, 300, 0.875), Square { left: 95, top: 19, side: 262 });
        assert_eq!(square(3, 500, 0.875), Square { left: 1, top: 249, side: 2 });
        assert_eq!(square(1, 1, 0.001), Square { left: 0, top: 0, side: 1 });
        assert_eq!(square(272, 272, 240.0 / 272.0).side, 240);
        assert_eq!(square(292, 300, 260.0 / 292.0).side, 260);
    }

    #[test]
    fn a_square_of_the_right_size_is_copied_and_normalised() {
        let how = Preprocess { mean: [1.0, 2.0, 3.0], std: [2.0, 4.0, 8.0], ..PLAIN };
        let out = run(&coordinates(4, 2), &how, 2, 2);
        // Columns 1 and 2 of 4.
        assert_eq!(out, [0.0, 0.5, 0.0, 0.5, -0.5, -0.5, -0.25, -0.25, 0.5, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn sizes_at_the_edge_work() {
        for (width, height) in [(1, 1), (3, 500), (500, 3), (2, 1), (17, 31), (1000, 1)] {
            for (out_height, out_width) in [(224, 224), (1, 1), (7, 13)] {
                for filter in [Filter::Bilinear, Filter::Bicubic] {
                    let how = Preprocess { filter, crop_fraction: 0.875, ..PLAIN };
                    let out = run(&coordinates(width, height), &how, out_height, out_width);
                    // The blue channel is constant, and stays so under any filter.
                    assert!(out[2 * out_height * out_width..].iter().all(|&value| value == 7.0));
                }
            }
        }
    }

    #[test]
    fn nothing_outside_the_square_is_seen() {
        let mut image = coordinates(40, 10);
        let inside = run(&image, &PLAIN, 20, 20);
        for (index, value) in image.rgb.iter_mut().enumerate() {
            if !(15..25).contains(&(index / 3 % 40)) {
                *value = 255;
            }
        }
        assert_eq!(run(&image, &PLAIN, 20, 20), inside);
    }

    #[test]
    fn a_wrong_output_length_is_an_error() {
        let error = preprocess(&coordinates(4, 4), &PLAIN, 2, 2, &mut [0.0; 9]).unwrap_err().to_string();
        assert_eq!(error, "neither a 3×2×2 nor a 1×2×2 input has 9 values");
    }
}
