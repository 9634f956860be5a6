//! How much memory image files can make us use: little if they only claim to be huge, enough if they are.
//!
//! Every case is decoded in a process of its own, this same test program with [`FILE`] set, which reports its peak.
#![cfg(all(feature = "image", target_os = "linux"))]

use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

use doconv::Image;
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageFormat};

const FILE: &str = "DOCONV_TEST_DECODE";

/// What decoding a file came to: its width and height or the error, and the peak of the memory in use, in MiB.
struct Outcome {
    result: Result<(usize, usize), String>,
    peak_mib: u64,
}

/// Not a test by itself: decodes the file that [`decode`] names.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let result = Image::decode("image", &std::fs::read(path).unwrap());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("PEAK {}", peak.trim().strip_suffix(" kB").unwrap());
    match result {
        Ok(image) => println!("DECODED {} {}", image.width(), image.height()),
        Err(error) => println!("REFUSED {error}"),
    }
}

fn decode(name: &str, bytes: &[u8]) -> Outcome {
    let path: PathBuf = std::env::temp_dir().join(format!("doconv-memory-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FILE, &path)
        .output()
        .unwrap();
    std::fs::remove_file(path).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let after = |word: &str| text.lines().find_map(|line| line.split_once(word).map(|(_, rest)| rest.to_string()));
    assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let result = match (after("DECODED "), after("REFUSED ")) {
        (Some(size), None) => {
            let (width, height) = size.split_once(' ').unwrap();
            Ok((width.parse().unwrap(), height.parse().unwrap()))
        }
        (None, Some(error)) => Err(error),
        _ => panic!("{name}: {text}"),
    };
    let outcome = Outcome { result, peak_mib: after("PEAK ").unwrap().parse::<u64>().unwrap() / 1024 };
    println!("{name}: {} bytes, {} MiB, {:?}", bytes.len(), outcome.peak_mib, outcome.result);
    outcome
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// A PNG with these chunks between its header and its pixels. `interlaced` is 0 or 1.
fn png(side: u32, interlaced: u8, between: &[u8], pixels: &[u8]) -> Vec<u8> {
    let size = side.to_be_bytes();
    let header = [&size[..], &size, &[8, 2, 0, 0, interlaced]].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], between, &chunk(b"IDAT", pixels), &chunk(b"IEND", &[])]
        .concat()
}

/// The zlib stream of the first bytes of what should be an image: two rows' worth of zeros, and no end.
const ZLIB: [u8; 12] = [0x78, 0x9c, 0x62, 0x60, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0x00];

/// A small JPEG whose frame header claims another size.
fn jpeg(side: u16, padding: usize, progressive: bool) -> Vec<u8> {
    let mut bytes = encode(&DynamicImage::new_rgb8(16, 16), ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    if progressive {
        bytes[frame + 1] = 0xc2;
    }
    bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &[b'x'; 0xfffd]].concat();
    let comments = comment.repeat(padding.div_ceil(comment.len()));
    [&bytes[..2], &comments, &bytes[2..]].concat()
}

/// A GIF with a large screen, comments, and a frame of another size.
fn gif(screen: u16, frame: u16, padding: usize) -> Vec<u8> {
    let mut bytes = vec![];
    GifEncoder::new(&mut bytes).encode(&[9; 4 * 16 * 16], 16, 16, ExtendedColorType::Rgba8).unwrap();
    bytes[6..8].copy_from_slice(&screen.to_le_bytes());
    bytes[8..10].copy_from_slice(&screen.to_le_bytes());
    let size = [16, 0, 16, 0];
    let descriptor = bytes.windows(9).position(|at| at[0] == 0x2c && at[5..] == size).unwrap();
    for at in [5, 7] {
        bytes[descriptor + at..][..2].copy_from_slice(&frame.to_le_bytes());
    }
    let block = [&[255][..], &[b'x'; 255]].concat();
    let comment = [&[0x21, 0xfe][..], &block.repeat(padding / 256), &[0]].concat();
    // Behind the screen's description and its palette.
    let at = 13 + if bytes[10] & 0x80 == 0 { 0 } else { 6 << (bytes[10] & 7) };
    [&bytes[..at], &comment, &bytes[at..]].concat()
}

fn bmp(side: i32, bits: u16, compression: u32, pixels: &[u8]) -> Vec<u8> {
    let offset = 54 + if bits <= 8 { 4 << bits } else { 0 };
    let mut bytes = b"BM".to_vec();
    bytes.extend([offset + pixels.len() as u32, 0, offset, 40].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([side, side].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([1, bits].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend([compression, 0, 0, 0, 0, 0].iter().flat_map(|value| value.to_le_bytes()));
    bytes.resize(offset as usize, 0);
    bytes.extend(pixels);
    bytes
}

/// A lossless WebP of one colour: no bits at all for its pixels.
fn lossless_webp(side: u32, padding: usize) -> Vec<u8> {
    let mut bits = vec![];
    let mut put = |value: u32, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    put(side - 1, 14);
    put(side - 1, 14);
    // No alpha, version 0; no transform, no colour cache, no second-level codes.
    put(0, 1 + 3 + 1 + 1 + 1);
    // Five codes, each of one symbol: simple, one symbol, of 8 bits, which is 7.
    for _ in 0..4 {
        put(0b101, 3);
        put(7, 8);
    }
    // The last is for distances, where 7 is a symbol too.
    put(0b101, 3);
    put(7, 8);
    let packed = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, &bit| sum << 1 | u8::from(bit)));
    let mut stream: Vec<u8> = std::iter::once(0x2f).chain(packed).collect();
    stream.resize((stream.len() + padding).next_multiple_of(2), 0);
    webp(&[(b"VP8L", &stream)])
}

/// A lossy WebP that ends where its macroblocks should begin.
fn lossy_webp(side: u16, padding: usize) -> Vec<u8> {
    let mut stream = vec![0x10 | ((padding as u32 / 2) << 5 & 0xe0) as u8, (padding / 16) as u8, (padding >> 12) as u8];
    stream.extend([0x9d, 0x01, 0x2a]);
    stream.extend(side.to_le_bytes());
    stream.extend(side.to_le_bytes());
    stream.resize((stream.len() + padding.max(64)).next_multiple_of(2), 0);
    webp(&[(b"VP8 ", &stream)])
}

fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let body: Vec<u8> =
        chunks.iter().flat_map(|(kind, data)| [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat()).collect();
    [b"RIFF", &(body.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &body].concat()
}

#[test]
fn claims_cost_little() {
    let extended = |side: u32| {
        let size = &(side - 1).to_le_bytes()[..3];
        let header = [&[0x10, 0, 0, 0][..], size, size].concat();
        let inner = lossless_webp(16, 0);
        webp(&[(b"VP8X", &header), (b"VP8L", &inner[20..])])
    };
    let text = |bytes: usize| chunk(b"tEXt", &[b"k\0", &vec![b'x'; bytes][..]].concat());
    let cases = [
        ("short.png", png(18_000, 0, &[], &ZLIB), "bytes of data cannot hold 18000×18000 pixels"),
        ("padded.png", png(18_000, 0, &text(80_000), &ZLIB), "truncated or damaged"),
        ("interlaced.png", png(18_000, 1, &text(80_000), &ZLIB), "truncated or damaged"),
        ("beyond.png", png(100_000, 0, &text(80_000), &ZLIB), "the limit is 1024 MiB"),
        ("short.jpg", jpeg(18_000, 0, false), "bytes of data cannot hold 18000×18000 pixels"),
        ("padded.jpg", jpeg(18_000, 1_000_000, false), "bytes of data cannot hold 18000×18000 pixels"),
        ("progressive.jpg", jpeg(18_000, 1_000_000, true), "bytes of data cannot hold 18000×18000 pixels"),
        ("beyond.jpg", jpeg(65_000, 0, false), "the limit is 1024 MiB"),
        ("short.gif", gif(16_000, 16_000, 0), "16000×16000 pixels in"),
        ("padded.gif", gif(16_000, 16_000, 60_000), "16000×16000 pixels in"),
        ("canvas.gif", gif(16_000, 16, 60_000), "16000×16000 pixels in"),
        ("small-canvas.gif", gif(16, 16_000, 60_000), "takes more memory"),
        ("plain.bmp", bmp(18_000, 24, 0, &[0; 100]), "18000×18000 pixels in"),
        ("palette.bmp", bmp(18_000, 8, 0, &[0; 60_000]), "18000×18000 pixels in"),
        ("runs.bmp", bmp(18_000, 8, 1, &[0, 1]), "18000×18000 pixels in"),
        ("lossless.webp", lossless_webp(16_000, 60_000), "16000×16000 pixels in"),
        ("lossy.webp", lossy_webp(16_000, 60_000), "16000×16000 pixels in"),
        ("extended.webp", extended(16_000), "pixels in"),
        ("unsuspicious.webp", lossless_webp(4096, 0), "4096×4096"),
        ("unsuspicious-lossy.webp", lossy_webp(4096, 0), "truncated or damaged"),
        ("unsuspicious.bmp", bmp(4096, 24, 0, &[0; 100]), "truncated or damaged"),
        ("unsuspicious-runs.bmp", bmp(4096, 8, 1, &[0, 1]), "4096×4096"),
        ("unsuspicious.gif", gif(4096, 16, 0), "4096×4096"),
        ("unsuspicious.jpg", jpeg(4096, 0, false), "9 bytes of data cannot hold 4096×4096"),
        ("unsuspicious-progressive.jpg", jpeg(4096, 0, true), "9 bytes of data cannot hold 4096×4096"),
    ];
    for (name, bytes, expected) in cases {
        assert!(bytes.len() < 1_100_000, "{name}");
        let outcome = decode(name, &bytes);
        // A one-colour image of an unsuspicious size is read.
        let result = outcome.result.map_or_else(|error| error, |(width, height)| format!("{width}×{height}"));
        assert!(result.contains(expected), "{name}: {result}");
        assert!(outcome.peak_mib < 256, "{name}: {} MiB", outcome.peak_mib);
    }
}

/// The zlib stream of a PNG's pixels.
fn pixels_of(png: &[u8]) -> Vec<u8> {
    let mut pixels = vec![];
    let mut rest = &png[8..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        if after.starts_with(b"IDAT") {
            pixels.extend(&after[4..4 + length]);
        }
        rest = &after[4 + length + 4..];
    }
    pixels
}

#[test]
fn a_packed_colour_profile_stays_packed() {
    // The pixels of another image as a profile: a quarter of a gibibyte of zeros.
    let zeros = pixels_of(&encode(&DynamicImage::new_luma8(16384, 16384), ImageFormat::Png));
    let profile = chunk(b"iCCP", &[b"zeros\0\0", &zeros[..]].concat());
    let small = encode(&DynamicImage::new_rgb8(20, 20), ImageFormat::Png);
    let with_profile = [&small[..33], &profile, &small[33..]].concat();
    let outcome = decode("profile.png", &with_profile);
    assert_eq!(outcome.result, Ok((20, 20)));
    assert!(outcome.peak_mib < 64, "{} MiB", outcome.peak_mib);
}

#[test]
fn huge_images_are_read() {
    let (width, height) = (12_000, 9_000);
    let image = DynamicImage::new_rgb8(width, height);
    let mut jpeg = vec![];
    JpegEncoder::new(&mut jpeg).encode_image(&image).unwrap();
    for (name, bytes) in [("solid.png", encode(&image, ImageFormat::Png)), ("solid.jpg", jpeg)] {
        let outcome = decode(name, &bytes);
        assert_eq!(outcome.result, Ok((12_000, 9_000)), "{name}");
        assert!(outcome.peak_mib < 1024, "{name}: {} MiB", outcome.peak_mib);
    }
}
