//! Whether a JPEG stream is whole.
//!
//! The decoder paints what is missing grey and reports success, which would turn half an image into a confident
//! answer. So the stream's end is looked for first.

/// How many bytes a JPEG stream has outside of its segments, which is how long its pixels are in compressed form; or
/// `None` if its markers do not lead to an end, because some part of it has been cut off.
///
/// Bytes after the end are allowed, as are stray bytes between segments.
pub(super) fn data_bytes(bytes: &[u8]) -> Option<usize> {
    // A marker is 0xFF and a byte that is neither 0 (a stuffed data byte) nor 0xFF (padding).
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    let mut at = 0;
    let mut data_bytes = 0;
    while let Some(&[first, marker]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        if first != 0xff || matches!(marker, 0 | 0xff) {
            at += 1;
            data_bytes += 1;
            continue;
        }
        at += 2;
        match marker {
            END => return Some(data_bytes),
            // Markers without a segment: the start, restarts between data, and the reserved TEM.
            START | 0xd0..=0xd7 | 1 => {}
            _ => match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                Some(&length) => at += usize::from(u16::from_be_bytes(length)).max(2),
                None => return None,
            },
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::data_bytes;

    #[test]
    fn the_end_counts_only_outside_of_segments() {
        let whole = [0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 5, 0xff, 0, 0xff, 0xd0, 7, 0xff, 0xd9];
        assert_eq!(data_bytes(&whole), Some(4));
        for end in 0..whole.len() {
            assert_eq!(data_bytes(&whole[..end]), None, "{end}");
        }
        assert_eq!(data_bytes(&[&whole[..], &[0; 9]].concat()), Some(4));
    }
}
