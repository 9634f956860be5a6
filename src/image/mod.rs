//! Images: decoding and preprocessing.

#[cfg(feature = "image")]
mod decode;
#[cfg(feature = "image")]
mod jpeg;
#[cfg(feature = "image")]
mod orientation;
#[cfg(feature = "image")]
mod png;
mod preprocess;
mod resample;

pub(crate) use preprocess::Square;
pub use preprocess::preprocess;
#[cfg(all(training, feature = "datasets"))]
pub(crate) use preprocess::{luma, resized};
pub(crate) use resample::{FRACTION_BITS, WeightTable};

use crate::{Error, Result};

/// A level of a transparent pixel, shown on white: the page that most such pictures were drawn for.
#[cfg(any(feature = "image", all(target_arch = "wasm32", feature = "web")))]
pub(crate) fn on_white(level: u8, alpha: u8) -> u8 {
    let (level, alpha) = (u32::from(level), u32::from(alpha));
    ((level * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// An 8-bit image: rows of red, green and blue, top left first, nothing between rows.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// Wraps pixels: `rgb` has `width · height · 3` bytes.
    ///
    /// # Errors
    /// [`Error::Image`] if there are no pixels, or another number of bytes.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if rgb.is_empty() || expected != Some(rgb.len()) {
            return Err(Error::Image {
                name: "image".into(),
                reason: format!("{} bytes are no {width}×{height} RGB image", rgb.len()),
            });
        }
        Ok(Self { width, height, rgb })
    }

    /// Pixels per row, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, `width · height · 3` bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}×{})", self.width, self.height)
    }
}
