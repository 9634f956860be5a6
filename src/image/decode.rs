//! Image files to pixels.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::path::Path;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::jpeg::Jpeg;
use super::{Image, on_white, orientation, png};
use crate::{Error, Result};

/// No image file may be longer than this.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// No image may take more bytes than this when decoded: 1 GiB, which is 358 megapixels of RGB.
const MAX_DECODED_BYTES: u64 = 1 << 30;
/// Up to so many pixels nobody asks whether a file is long enough for them; a decoder takes 4 to 8 bytes for each.
const UNSUSPICIOUS_PIXELS: u64 = 1 << 24;
/// What a decoder may take besides pixels, such as for an unpacked colour profile, and besides the file's own length.
const MAX_EXTRA_BYTES: u64 = 16 << 20;

impl Image {
    /// Decodes a JPEG, PNG, WebP, BMP or GIF file (of an animation the first frame); its content says which it is.
    ///
    /// The orientation that cameras note in the EXIF data is applied. Grey and palette images become RGB, 16 bits
    /// become 8. Transparent parts are shown on white, since that is the page most such pictures were drawn for. `name`
    /// stands for the file in errors.
    ///
    /// # Errors
    /// [`Error::Image`] if the file is empty, no image, truncated, damaged, larger than 1 GiB when decoded, so much
    /// smaller than its number of pixels that it can only be meant to exhaust the memory, or a JPEG of a rare kind
    /// (arithmetic coding, lossless, hierarchical, 12 bits, unusual sampling factors).
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        decode(bytes).map_err(|reason| Error::Image { name: name.into(), reason })
    }

    /// Reads and decodes an image file, as [`Image::decode`] does.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and those of [`Image::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
        Self::read(&name, file)
    }

    /// Reads and decodes an image from a stream, as [`Image::decode`] does.
    ///
    /// # Errors
    /// [`Error::Io`] if the stream cannot be read or goes on for more than 1 GiB, and those of [`Image::decode`].
    pub fn read(name: &str, stream: impl Read) -> Result<Self> {
        let io = |source| Error::io(name, source);
        let mut bytes = vec![];
        // A device may never end.
        stream.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io(std::io::Error::other("goes on for more than 1 GiB, too much for an image")));
        }
        Self::decode(name, &bytes)
    }
}

fn decode(bytes: &[u8]) -> Result<Image, String> {
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    let format = image::guess_format(bytes).ok().filter(|format| density(*format).is_some());
    let format = format.ok_or("not an image (JPEG, PNG, WebP, BMP and GIF are read)")?;
    let decoded = if format == ImageFormat::Jpeg { decode_jpeg(bytes)? } else { decode_other(format, bytes)? };
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let rgb = if decoded.color().has_alpha() { opaque(decoded) } else { decoded.into_rgb8().into_raw() };
    Image::from_rgb(width, height, rgb).map_err(|error| error.to_string())
}

fn decode_jpeg(bytes: &[u8]) -> Result<DynamicImage, String> {
    let jpeg = Jpeg::new(bytes)?;
    let (width, height) = jpeg.dimensions();
    check_size(ImageFormat::Jpeg, (width, height), 0, jpeg.data_bytes())?;
    let pixels = RgbImage::from_raw(width, height, jpeg.decode()?).ok_or("truncated or damaged: pixels are missing")?;
    let mut decoded = DynamicImage::from(pixels);
    decoded.apply_orientation(jpeg.exif().map_or(Orientation::NoTransforms, orientation::of_exif));
    Ok(decoded)
}

fn decode_other(format: ImageFormat, bytes: &[u8]) -> Result<DynamicImage, String> {
    if format == ImageFormat::Png && !png::has_whole_palette(bytes) {
        return Err("truncated or damaged: a palette ends within a colour".into());
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // Of the decoders only PNG's heeds this, and only outside of the pixels: they are judged below.
    reader.limits(allowing(bytes.len() as u64));
    let mut decoder = reader.into_decoder().map_err(|error| describe(&error))?;
    let decoded_bytes = check_size(format, decoder.dimensions(), decoder.total_bytes(), bytes.len())?;
    // What a decoder needs besides the result is proportional to it.
    decoder.set_limits(allowing(2 * decoded_bytes)).map_err(|error| describe(&error))?;
    let exif = if format == ImageFormat::Png {
        png::exif(bytes)
    } else {
        decoder.exif_metadata().map_err(|error| describe(&error))?.map(Cow::from)
    };
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| describe(&error))?;
    decoded.apply_orientation(exif.map_or(Orientation::NoTransforms, |exif| orientation::of_exif(&exif)));
    Ok(decoded)
}

/// Refuses dimensions that take too much memory, or more pixels than the data can hold; the bytes that they take.
fn check_size(
    format: ImageFormat,
    (width, height): (u32, u32),
    total_bytes: u64,
    data_bytes: usize,
) -> Result<u64, String> {
    let pixels = u64::from(width) * u64::from(height);
    let decoded_bytes = total_bytes.max(pixels.saturating_mul(3));
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
    match density(format) {
        Some(Density::Possible(most)) if pixels > most * data_bytes as u64 => {
            Err(format!("truncated or damaged: {data_bytes} bytes of data cannot hold {width}×{height} pixels"))
        }
        Some(Density::Plausible(most)) if pixels > UNSUSPICIOUS_PIXELS.max(most * data_bytes as u64) => Err(format!(
            "{width}×{height} pixels in {data_bytes} bytes, and the limit is {most} pixels per byte for images above \
             {} megapixels; save it as PNG or make it smaller first",
            UNSUSPICIOUS_PIXELS >> 20
        )),
        _ => Ok(decoded_bytes),
    }
}

/// How many pixels a byte of a file can stand for.
enum Density {
    /// No valid file has more.
    Possible(u64),
    /// A valid file may have more, but no real large image does.
    Plausible(u64),
}

/// The limit for a format, or `None` for formats that are not read.
///
/// A file that is far too short for its dimensions is refused before a decoder spends memory on them.
fn density(format: ImageFormat) -> Option<Density> {
    match format {
        // Deflate makes at most 1032 bytes of one, and a byte holds at most 8 pixels.
        ImageFormat::Png => Some(Density::Possible(1032 * 8)),
        // Every block of 8×8 takes at least one bit.
        ImageFormat::Jpeg => Some(Density::Possible(64 * 8)),
        // These can say in a few bytes that a whole image has one colour, or is empty but for a corner.
        ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::WebP => Some(Density::Plausible(512)),
        _ => None,
    }
}

fn allowing(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes + MAX_EXTRA_BYTES);
    limits
}

/// The colour channels over a white background.
fn opaque(image: DynamicImage) -> Vec<u8> {
    let rgba = image.into_rgba8().into_raw();
    rgba.as_chunks().0.iter().flat_map(|&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)]).collect()
}

fn describe(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(error) => format!("a kind of image that is not supported: {error}"),
        ImageError::Limits(error) => format!("takes more memory to decode than its size explains: {error}"),
        _ => format!("truncated or damaged: {error}"),
    }
}
