//! What the PNG decoder takes for granted, and what it passes over.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// Longer text is not unpacked: EXIF data have at most 64 kB, and two digits stand for a byte.
const MAX_TEXT_BYTES: u64 = 1 << 18;

/// The chunks of a PNG file: the kind, the length that it claims, and the data that are there.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], usize, &[u8])> {
    const SIGNATURE: usize = 8;
    const CHECKSUM: usize = 4;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    // What is no chunk is left to the decoder.
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        rest = length.checked_add(CHECKSUM).and_then(|end| after.get(end..)).unwrap_or_default();
        Some((kind, length, after.get(..length).unwrap_or(after)))
    })
}

/// Whether every palette consists of whole colours, of which the decoder makes sure by a panic.
pub(super) fn has_whole_palette(bytes: &[u8]) -> bool {
    chunks(bytes).all(|(kind, length, _)| kind != b"PLTE" || length.is_multiple_of(3))
}

/// The EXIF data: of their own chunk, wherever it is, or of the text in which programs kept them before that existed.
pub(super) fn exif(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let own = chunks(bytes).find(|(kind, ..)| *kind == b"eXIf");
    own.map(|(.., data)| data.into()).or_else(|| {
        let text = chunks(bytes).find_map(|(kind, _, data)| raw_profile(kind, data))?;
        // An empty line, the name and the length come before the digits.
        let digits: Vec<u8> = text.split(|&byte| byte == b'\n').skip(3).flatten().copied().collect();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        digits.as_chunks().0.iter().map(byte).collect::<Option<Vec<u8>>>().map(Cow::from)
    })
}

/// The text of a chunk that holds EXIF data as digits.
fn raw_profile(kind: &[u8; 4], data: &[u8]) -> Option<Vec<u8>> {
    let text =
        [&b"Raw profile type exif\0"[..], b"Raw profile type APP1\0"].iter().find_map(|key| data.strip_prefix(*key))?;
    match kind {
        b"tEXt" => Some(text.to_vec()),
        // The compression method is 0, for zlib.
        b"zTXt" => unpacked(text.strip_prefix(&[0])?),
        b"iTXt" => {
            let (&[packed, _method], rest) = text.split_first_chunk()?;
            // The language and the translated keyword come before the text.
            let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
            if packed == 0 { Some(text.to_vec()) } else { unpacked(text) }
        }
        _ => None,
    }
}

fn unpacked(zlib: &[u8]) -> Option<Vec<u8>> {
    let mut text = vec![];
    ZlibDecoder::new(zlib).take(MAX_TEXT_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}
