//! What the PNG decoder takes for granted.

/// Whether every palette consists of whole colours, of which the decoder makes sure by a panic.
pub(super) fn has_whole_palette(bytes: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    // A chunk is its length, its kind, its data and a checksum of 4 bytes. What is no chunk is left to the decoder.
    while let Some((length, chunk)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        if chunk.starts_with(b"PLTE") && !length.is_multiple_of(3) {
            return false;
        }
        rest = length.checked_add(4 + 4).and_then(|end| chunk.get(end..)).unwrap_or_default();
    }
    true
}
