//! What the markers of a JPEG stream say, read before anything is decoded.
//!
//! The decoder paints what is missing grey and reports success, which would turn half a photograph into a confident
//! answer. So the stream's end is looked for first. What the decoder would get wrong is refused here, too.

/// No stream has more scans than this: a progressive one has at most some hundred.
const MAX_SCANS: usize = 1 << 12;

/// The frame, the scans, and what says how colours are stored.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// How many bytes the stream has outside of its segments, which is how long its pixels are in compressed form.
    pub data_bytes: usize,
    /// The second byte of every frame's marker (`SOF`), and its content.
    frames: Vec<(u8, Vec<u8>)>,
    /// The identifiers of every scan's components.
    scans: Vec<Vec<u8>>,
    hierarchical: bool,
    pub jfif: bool,
    /// The colour transform of an Adobe segment.
    pub adobe: Option<u8>,
    /// The content of the first Exif segment.
    pub exif: Option<Vec<u8>>,
}

/// A colour component: its identifier and sampling factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub id: u8,
    pub sampling: [usize; 2],
}

/// A frame that is decoded.
#[derive(Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
}

impl Header {
    /// Reads a stream from its start to its end; `None` if its markers do not lead to an end, because some part of it
    /// has been cut off.
    ///
    /// Bytes after the end are allowed, as are stray bytes between segments.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        // A marker is 0xFF and a byte that is neither 0 (a stuffed data byte) nor 0xFF (padding).
        const START: u8 = 0xd8;
        const END: u8 = 0xd9;
        let mut header = Self::default();
        let mut at = 0;
        while let Some(&[first, marker]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            if first != 0xff || matches!(marker, 0 | 0xff) {
                at += 1;
                header.data_bytes += 1;
                continue;
            }
            at += 2;
            match marker {
                END => return Some(header),
                // Markers without a segment: the start, restarts between data, and the reserved TEM.
                START | 0xd0..=0xd7 | 1 => {}
                _ => {
                    let length = bytes.get(at..).and_then(|rest| rest.first_chunk())?;
                    let length = usize::from(u16::from_be_bytes(*length)).max(2);
                    header.segment(marker, bytes.get(at + 2..at + length).unwrap_or_default());
                    at += length;
                }
            }
        }
        None
    }

    fn segment(&mut self, marker: u8, content: &[u8]) {
        match marker {
            // Frames; the gaps are Huffman tables, a reserved marker and arithmetic conditioning.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => self.frames.push((marker, content.to_vec())),
            0xda if self.scans.len() < MAX_SCANS => {
                let (&count, rest) = content.split_first().unwrap_or((&0, &[]));
                self.scans.push(rest.chunks(2).take(count.into()).map(|selector| selector[0]).collect());
            }
            // Define a hierarchical progression, expand.
            0xde | 0xdf => self.hierarchical = true,
            0xe0 if content.starts_with(b"JFIF\0") => self.jfif = true,
            0xe1 if self.exif.is_none() => self.exif = content.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec),
            0xee if content.starts_with(b"Adobe") => self.adobe = content.get(11).copied(),
            _ => {}
        }
    }

    /// Whether the stream is what cameras and most programs write: a baseline JFIF with one scan of three components,
    /// the chroma as fine as the luma or half as fine.
    pub fn is_usual(&self, frame: &Frame) -> bool {
        let sampling: Vec<[usize; 2]> = frame.components.iter().map(|component| component.sampling).collect();
        let [[1, 1] | [2, 1] | [2, 2], [1, 1], [1, 1]] = sampling[..] else { return false };
        let is_baseline = self.frames.first().is_some_and(|(marker, _)| *marker == 0xc0);
        is_baseline && self.jfif && self.adobe.is_none() && self.scans.len() == 1 && self.scans[0].len() == 3
    }

    /// The frame.
    ///
    /// # Errors
    /// Why it cannot be decoded: there is none, or it is of a kind that the decoder refuses or gets wrong.
    pub fn frame(&self) -> Result<Frame, String> {
        let Some((marker, content)) = self.frames.first() else {
            return Err("truncated or damaged: the JPEG data has no frame".into());
        };
        let kind = match marker {
            _ if self.hierarchical || self.frames.len() > 1 => Some("hierarchical"),
            0xc0..=0xc2 => None,
            0xc3 => Some("lossless"),
            0xc5..=0xc7 | 0xcd..=0xcf => Some("hierarchical"),
            _ => Some("arithmetic coding"),
        };
        match kind {
            Some("arithmetic coding") => {
                return Err(
                    "a JPEG with arithmetic coding, which is not supported; `jpegtran IN OUT` rewrites it with \
                            Huffman coding without loss, or save it as PNG"
                        .into(),
                );
            }
            Some(kind) => return Err(refused(&format!("a {kind} JPEG"))),
            None => {}
        }
        let damaged = || "truncated or damaged: the JPEG frame is cut off".to_string();
        let (&[precision, h1, h0, w1, w0, count], rest) = content.split_first_chunk().ok_or_else(damaged)?;
        if precision != 8 {
            return Err(refused(&format!("a JPEG with {precision} bits per sample")));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(refused(&format!("a JPEG with {count} colour components")));
        }
        let component = |&[id, sampling, _]: &[u8; 3]| Component {
            id,
            sampling: [usize::from(sampling >> 4), usize::from(sampling & 15)],
        };
        let components: Vec<Component> = rest.as_chunks().0.iter().map(component).collect();
        if components.len() != usize::from(count) {
            return Err(damaged());
        }
        let (height, width) = (u16::from_be_bytes([h1, h0]).into(), u16::from_be_bytes([w1, w0]).into());
        if height == 0 {
            return Err(refused("a JPEG whose height comes after its pixels"));
        }
        let frame = Frame { width, height, components };
        frame.check_sampling(&self.scans)?;
        Ok(frame)
    }
}

fn refused(what: &str) -> String {
    format!("{what}, which is not supported; save it as PNG or as baseline JPEG")
}

impl Frame {
    /// Refuses sampling factors that the decoder cannot scale, and scans whose blocks it miscounts.
    fn check_sampling(&self, scans: &[Vec<u8>]) -> Result<(), String> {
        let factors = || {
            let factors = self.components.iter().map(|Component { sampling: [h, v], .. }| format!("{h}×{v}"));
            factors.collect::<Vec<_>>().join(", ")
        };
        let largest = [0, 1].map(|axis| self.components.iter().map(|own| own.sampling[axis]).max().unwrap_or(1));
        for component in &self.components {
            for axis in [0, 1] {
                let own = component.sampling[axis];
                if !(1..=4).contains(&own) {
                    return Err(format!("truncated or damaged: the JPEG sampling factors are {}", factors()));
                }
                if !largest[axis].is_multiple_of(own) {
                    return Err(refused(&format!("a JPEG with the sampling factors {}", factors())));
                }
            }
            // A scan of one component has the blocks that its pixels need. The decoder takes the padding up to whole
            // groups of blocks of all components for part of it, unless its image is no larger.
            let blocks = |axis: usize, pixels: usize| {
                let (own, largest) = (component.sampling[axis], largest[axis]);
                let needed = (pixels * own).div_ceil(largest).div_ceil(8);
                let taken = (pixels.div_ceil(8 * largest) * own).min(pixels.div_ceil(8));
                needed == taken
            };
            let alone = self.components.len() > 1 && scans.iter().any(|scan| scan[..] == [component.id]);
            if alone && !(blocks(0, self.width) && blocks(1, self.height)) {
                return Err(refused(&format!("a JPEG with the sampling factors {} in separate scans", factors())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Header};

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    }

    fn frame(marker: u8, precision: u8, [width, height]: [u8; 2], components: &[[u8; 3]]) -> Vec<u8> {
        let start = [precision, 0, height, 0, width, components.len() as u8];
        segment(marker, &[&start[..], components.as_flattened()].concat())
    }

    fn scan(components: &[u8]) -> Vec<u8> {
        let selectors: Vec<u8> = components.iter().flat_map(|&id| [id, 0]).collect();
        segment(0xda, &[&[components.len() as u8], &selectors[..], &[0, 63, 0]].concat())
    }

    fn stream(parts: &[Vec<u8>]) -> Vec<u8> {
        [&[0xff, 0xd8], &parts.concat()[..], &[0xff, 0xd9]].concat()
    }

    #[test]
    fn the_end_counts_only_outside_of_segments() {
        let whole = [0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 5, 0xff, 0, 0xff, 0xd0, 7, 0xff, 0xd9];
        let data_bytes = |bytes: &[u8]| Header::read(bytes).map(|header| header.data_bytes);
        assert_eq!(data_bytes(&whole), Some(4));
        for end in 0..whole.len() {
            assert_eq!(data_bytes(&whole[..end]), None, "{end}");
        }
        assert_eq!(data_bytes(&[&whole[..], &[0; 9]].concat()), Some(4));
    }

    #[test]
    fn what_a_stream_says_is_read() {
        let exif = segment(0xe1, b"Exif\0\0MM");
        let app = [
            segment(0xe0, b"JFIF\0\x01"),
            segment(0xee, b"Adobe\0\x64\0\0\0\0\x02"),
            exif,
            segment(0xe1, b"Exif\0\0II"),
        ];
        let parts =
            [app.concat(), frame(0xc2, 8, [40, 30], &[[1, 0x22, 0], [2, 0x11, 1], [9, 0x12, 1]]), scan(&[1, 2, 9])];
        let header = Header::read(&stream(&parts)).unwrap();
        assert!(header.jfif);
        assert_eq!((header.adobe, header.exif.as_deref()), (Some(2), Some(&b"MM"[..])));
        let frame = header.frame().unwrap();
        assert_eq!((frame.width, frame.height), (40, 30));
        assert_eq!(frame.components[2], Component { id: 9, sampling: [1, 2] });
    }

    #[test]
    fn kinds_that_the_decoder_would_get_wrong_are_refused_by_name() {
        let one: [[u8; 3]; 1] = [[1, 0x11, 0]];
        let three = |factors: [u8; 3]| [[1, factors[0], 0], [2, factors[1], 0], [3, factors[2], 0]];
        let whole = scan(&[1, 2, 3]);
        let separate = [scan(&[1]), scan(&[2]), scan(&[3])].concat();
        let partly = [scan(&[1]), scan(&[2, 3])].concat();
        let plain = three([0x22, 0x11, 0x11]);
        let (small, even) = ([40, 30], [64, 64]);
        let cases = [
            (vec![frame(0xc9, 8, small, &plain), whole.clone()], Some("arithmetic coding")),
            (vec![frame(0xca, 8, small, &plain), whole.clone()], Some("arithmetic coding")),
            (vec![frame(0xc3, 8, small, &one), scan(&[1])], Some("a lossless JPEG")),
            (vec![frame(0xc5, 8, small, &plain), whole.clone()], Some("a hierarchical JPEG")),
            (vec![segment(0xde, &[0; 6]), frame(0xc0, 8, small, &plain), whole.clone()], Some("a hierarchical JPEG")),
            (vec![frame(0xc0, 8, small, &plain), frame(0xc0, 8, small, &plain)], Some("a hierarchical JPEG")),
            (vec![frame(0xc1, 12, small, &plain), whole.clone()], Some("12 bits per sample")),
            (vec![frame(0xc0, 8, small, &plain[..2]), scan(&[1, 2])], Some("2 colour components")),
            (vec![frame(0xc0, 8, [40, 0], &plain), whole.clone()], Some("height comes after")),
            (vec![frame(0xc0, 8, small, &three([0x31, 0x21, 0x11])), whole.clone()], Some("factors 3×1, 2×1, 1×1,")),
            (vec![frame(0xc0, 8, small, &three([0x21, 0x13, 0x12])), whole.clone()], Some("factors 2×1, 1×3, 1×2,")),
            (vec![frame(0xc0, 8, small, &three([0x41, 0x21, 0x11])), separate.clone()], Some("separate scans")),
            (vec![frame(0xc2, 8, [30, 40], &three([0x14, 0x12, 0x12])), separate.clone()], Some("separate scans")),
            (vec![frame(0xc0, 8, small, &three([0x21, 0x41, 0x11])), partly.clone()], Some("separate scans")),
            (
                vec![frame(0xc0, 8, small, &three([0x50, 0x11, 0x11])), whole.clone()],
                Some("damaged: the JPEG sampling"),
            ),
            (vec![whole.clone()], Some("no frame")),
            // The same where nothing is padded, in one scan, or with factors that differ by the largest.
            (vec![frame(0xc0, 8, even, &three([0x41, 0x21, 0x11])), separate.clone()], None),
            (vec![frame(0xc0, 8, small, &three([0x41, 0x21, 0x11])), whole.clone()], None),
            (vec![frame(0xc0, 8, small, &three([0x41, 0x21, 0x21])), partly.clone()], None),
            (vec![frame(0xc0, 8, small, &three([0x44, 0x11, 0x41])), separate.clone()], None),
            (vec![frame(0xc0, 8, small, &plain), separate], None),
            (vec![frame(0xc2, 8, small, &three([0x11, 0x22, 0x12])), partly], None),
            (vec![frame(0xc0, 8, small, &[[1, 0x32, 0]]), scan(&[1])], None),
        ];
        for (parts, expected) in cases {
            let result = Header::read(&stream(&parts)).unwrap().frame();
            match (result, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => {
                    assert!(error.contains(expected) && error.len() < 250, "{expected}: {error}");
                    assert!(error.contains("damaged") || error.contains("save it as PNG"), "{error}");
                }
                (result, expected) => panic!("{expected:?}, but {result:?}"),
            }
        }
    }
}
