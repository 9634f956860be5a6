//! Whether a JPEG stream is whole.
//!
//! The decoder paints what is missing grey and reports success, which would turn half a photograph into a confident
//! answer. So the stream's end is looked for first.

/// Whether the markers of a JPEG stream lead to its end, and so no part of it has been cut off.
///
/// Bytes after the end are allowed, as are stray bytes between segments.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    // A marker is 0xFF and a byte that is neither 0 (a stuffed data byte) nor 0xFF (padding).
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    let mut at = 0;
    while let Some(&[first, marker]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        if first != 0xff || matches!(marker, 0 | 0xff) {
            at += 1;
            continue;
        }
        at += 2;
        match marker {
            END => return true,
            // Markers without a segment: the start, restarts between data, and the reserved TEM.
            START | 0xd0..=0xd7 | 1 => {}
            _ => match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                Some(&length) => at += usize::from(u16::from_be_bytes(length)).max(2),
                None => return false,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn the_end_counts_only_outside_of_segments() {
        let whole = [0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 5, 0xff, 0, 0xff, 0xd0, 7, 0xff, 0xd9];
        assert!(is_complete(&whole));
        for end in 0..whole.len() {
            assert!(!is_complete(&whole[..end]), "{end}");
        }
        assert!(is_complete(&[&whole[..], &[0; 9]].concat()));
    }
}
