//! Image files to pixels.

use std::io::Cursor;
use std::path::Path;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Image, jpeg};
use crate::{Error, Result};

/// No image may take more bytes than this when decoded: 2 GiB, or half that where addresses have 32 bits.
const MAX_DECODED_BYTES: u64 = if usize::BITS > 32 { 2 << 30 } else { 1 << 30 };

impl Image {
    /// Decodes a JPEG, PNG, WebP, BMP or GIF file (of an animation the first frame); its content says which it is.
    ///
    /// The orientation that cameras note in the EXIF data is applied. Grey and palette images become RGB, 16 bits
    /// become 8. Transparent parts are shown on white, since that is the page most such pictures were drawn for. `name`
    /// stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Image`] if the file is empty, no image, truncated, damaged, or larger than 2 GiB when decoded.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        decode(bytes).map_err(|reason| Error::Image { name: name.into(), reason })
    }

    /// Reads and decodes an image file, as [`Image::decode`] does.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and those of [`Image::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::decode(&path.display().to_string(), &bytes)
    }
}

fn decode(bytes: &[u8]) -> Result<Image, String> {
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    let format = image::guess_format(bytes).ok().filter(|format| most_pixels_per_byte(*format).is_some());
    let format = format.ok_or("not an image (JPEG, PNG, WebP, BMP and GIF are read)")?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err("truncated or damaged: the JPEG data has no end".into());
    }

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The decoders' own limit is kept out of the constructor, so that the error can name the dimensions.
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(|error| describe(&error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let decoded_bytes = decoder.total_bytes().max(pixels.saturating_mul(3));
    if pixels == 0 {
        return Err(format!("truncated or damaged: an image of {width}×{height} pixels"));
    }
    if decoded_bytes > MAX_DECODED_BYTES {
        return Err(format!(
            "{width}×{height} pixels take {} MiB when decoded, and the limit is {} MiB; make it smaller first",
            decoded_bytes >> 20,
            MAX_DECODED_BYTES >> 20
        ));
    }
    if most_pixels_per_byte(format).is_some_and(|most| pixels / most > bytes.len() as u64) {
        return Err(format!("truncated or damaged: {} bytes cannot hold {width}×{height} pixels", bytes.len()));
    }
    // What a decoder needs besides the result is proportional to it.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * decoded_bytes + (64 << 20));
    decoder.set_limits(limits).map_err(|error| describe(&error))?;
    let orientation = decoder.orientation().map_err(|error| describe(&error))?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| describe(&error))?;
    decoded.apply_orientation(orientation);

    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let rgb = if decoded.color().has_alpha() { on_white(decoded) } else { decoded.into_rgb8().into_raw() };
    Image::from_rgb(width, height, rgb).map_err(|error| error.to_string())
}

/// How many pixels a byte of a file can stand for at most, or `None` for formats that are not read.
///
/// A file that is far too short for its dimensions is refused before a decoder spends memory on them.
fn most_pixels_per_byte(format: ImageFormat) -> Option<u64> {
    match format {
        // Deflate makes at most 1032 bytes of one, and a byte holds at most 8 pixels.
        ImageFormat::Png => Some(1032 * 8),
        // Every block of 8×8 takes at least one bit.
        ImageFormat::Jpeg => Some(64 * 8),
        // A code of at least 2 bits stands for at most 4096 pixels.
        ImageFormat::Gif => Some(4096 * 4),
        // A run of 255 pixels takes 2 bytes, but the file may also skip to any point in 4 bytes.
        ImageFormat::Bmp => Some(u64::MAX),
        // A lossless image of one colour takes no bits per pixel at all.
        ImageFormat::WebP => Some(u64::MAX),
        _ => None,
    }
}

/// The colour channels over a white background.
fn on_white(image: DynamicImage) -> Vec<u8> {
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let rgba = image.into_rgba8().into_raw();
    rgba.as_chunks().0.iter().flat_map(|&[r, g, b, a]| [over(r, a), over(g, a), over(b, a)]).collect()
}

fn describe(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(error) => format!("a kind of image that is not supported: {error}"),
        ImageError::Limits(error) => format!("truncated or damaged: {error}"),
        _ => format!("truncated or damaged: {error}"),
    }
}
