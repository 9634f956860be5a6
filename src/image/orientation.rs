//! How a camera was held, from the EXIF data of an image.

use image::metadata::Orientation;

/// The tag of the orientation in the first directory.
const TAG: u16 = 0x112;

/// The orientation that EXIF data note; none where they are damaged or silent, as other programs have it.
///
/// The number is a `SHORT` by the standard, but some programs write it as another type of integer.
pub(super) fn of_exif(bytes: &[u8]) -> Orientation {
    find(bytes).and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

fn find(bytes: &[u8]) -> Option<u8> {
    // Some files repeat the name of the JPEG segment.
    let tiff = bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes);
    let big_endian = match tiff.first_chunk()? {
        b"MM\0\x2a" => true,
        b"II\x2a\0" => false,
        _ => return None,
    };
    let number = |at: usize, width: usize| -> Option<u32> {
        let digits = tiff.get(at..at.checked_add(width)?)?;
        let value = |sum: u32, &digit: &u8| sum << 8 | u32::from(digit);
        Some(if big_endian { digits.iter().fold(0, value) } else { digits.iter().rev().fold(0, value) })
    };
    let directory = number(4, 4)? as usize;
    let count = number(directory, 2)? as usize;
    let entry = (0..count).map(|index| directory + 2 + 12 * index).find(|&at| number(at, 2) == Some(TAG.into()))?;
    let width = match number(entry + 2, 2)? {
        // BYTE, SHORT, LONG, and the same with a sign.
        1 | 6 => 1,
        3 | 8 => 2,
        4 | 9 => 4,
        _ => return None,
    };
    let single = number(entry + 4, 4)? == 1;
    single.then(|| number(entry + 8, width))?.and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, count: u8, value: [u8; 4]) -> Vec<u8> {
        // Another entry comes first.
        let other = [0x0f, 0x01, 2, 0, 1, 0, 0, 0, b'x', 0, 0, 0];
        let own = [0x12, 0x01, kind, 0, count, 0, 0, 0, value[0], value[1], value[2], value[3]];
        [b"II\x2a\0\x08\0\0\0\x02\0", &other[..], &own].concat()
    }

    #[test]
    fn every_type_of_integer_is_read() {
        for kind in [1, 3, 4, 6, 8, 9] {
            assert_eq!(of_exif(&entry(kind, 1, [6, 0, 0, 0])), Orientation::Rotate90, "{kind}");
        }
        assert_eq!(of_exif(&[b"Exif\0\0", &entry(4, 1, [3, 0, 0, 0])[..]].concat()), Orientation::Rotate180);
        let big_endian = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x08";
        assert_eq!(of_exif(big_endian), Orientation::Rotate270);
    }

    #[test]
    fn what_is_no_orientation_turns_nothing() {
        let whole = entry(3, 1, [6, 0, 0, 0]);
        for bytes in
            [entry(2, 1, [6; 4]), entry(3, 2, [6, 0, 6, 0]), entry(3, 1, [9, 0, 0, 0]), entry(4, 1, [6, 1, 0, 0])]
        {
            assert_eq!(of_exif(&bytes), Orientation::NoTransforms, "{bytes:?}");
        }
        for end in 0..whole.len() - 2 {
            assert_eq!(of_exif(&whole[..end]), Orientation::NoTransforms, "{end}");
        }
        assert_eq!(of_exif(b"II\x2a\0\xff\xff\xff\xff"), Orientation::NoTransforms);
    }
}
