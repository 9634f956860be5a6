//! JPEG.

mod header;

use header::{Frame, Header};
use jpeg_decoder::{ColorTransform, Decoder, Error, PixelFormat};

/// A stream whose markers have been read, and whose pixels have not.
pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    header: Header,
    frame: Frame,
}

impl<'a> Jpeg<'a> {
    /// Reads the markers.
    ///
    /// # Errors
    /// What is wrong with the stream, or why it is not supported.
    pub fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let header = Header::read(bytes).ok_or("truncated or damaged: the JPEG data has no end")?;
        let frame = header.frame()?;
        Ok(Self { bytes, header, frame })
    }

    pub fn dimensions(&self) -> (u32, u32) {
        (self.frame.width as u32, self.frame.height as u32)
    }

    /// How many bytes hold its pixels.
    pub fn data_bytes(&self) -> usize {
        self.header.data_bytes
    }

    pub fn exif(&self) -> Option<&[u8]> {
        self.header.exif.as_deref()
    }

    /// The pixels: rows of red, green and blue.
    ///
    /// Usual streams go to zune-jpeg, which is quicker and whose pixels are closer to those of browsers; but for
    /// separate scans and fine chroma it gives garbage and reports success, so all others go to jpeg-decoder.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(&self) -> Result<Vec<u8>, String> {
        if self.header.is_usual(&self.frame) {
            let decoded = image::load_from_memory_with_format(self.bytes, image::ImageFormat::Jpeg);
            return Ok(decoded.map_err(|error| format!("truncated or damaged: {error}"))?.into_rgb8().into_raw());
        }
        self.decode_unusual()
    }

    fn decode_unusual(&self) -> Result<Vec<u8>, String> {
        let mut decoder = Decoder::new(self.bytes);
        if let Some(transform) = self.transform() {
            decoder.set_color_transform(transform);
        }
        let pixels = decoder.decode().map_err(|error| match error {
            Error::Unsupported(feature) => format!("a JPEG with a feature that is not supported: {feature:?}"),
            Error::Format(reason) => format!("truncated or damaged: {reason}"),
            error => format!("truncated or damaged: {error}"),
        })?;
        match decoder.info().map(|info| info.pixel_format) {
            Some(PixelFormat::L8) => Ok(pixels.into_iter().flat_map(|level| [level; 3]).collect()),
            Some(PixelFormat::RGB24) => Ok(pixels),
            Some(PixelFormat::CMYK32) => Ok(pixels.as_chunks().0.iter().flat_map(rgb_of_cmyk).collect()),
            Some(PixelFormat::L16) | None => {
                Err("a JPEG with more than 8 bits per sample, which is not supported".into())
            }
        }
    }

    /// How colours are stored, by the rules of libjpeg; the decoder has others for files that contradict themselves.
    fn transform(&self) -> Option<ColorTransform> {
        let ids: Vec<u8> = self.frame.components.iter().map(|component| component.id).collect();
        match (ids.as_slice(), self.header.adobe) {
            ([_], _) => None,
            ([_, _, _], _) if self.header.jfif => Some(ColorTransform::YCbCr),
            ([_, _, _], Some(0)) | (b"RGB", None) => Some(ColorTransform::RGB),
            ([_, _, _], _) => Some(ColorTransform::YCbCr),
            (_, None | Some(0)) => Some(ColorTransform::CMYK),
            _ => Some(ColorTransform::YCCK),
        }
    }
}

/// A colour of four inks without a profile, as Pillow shows it.
fn rgb_of_cmyk(&[c, m, y, k]: &[u8; 4]) -> [u8; 3] {
    let white = u32::from(255 - k);
    [c, m, y].map(|ink| {
        let product = u32::from(ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    })
}
