//! The kinds of images that there are, against what Pillow reads from them; see `data/images/make.py`.
#![cfg(feature = "image")]

use std::io::{Cursor, Write};

use doconv::Image;
use image::{DynamicImage, GenericImageView, ImageFormat};

fn folder() -> String {
    format!("{}/tests/data/images", env!("CARGO_MANIFEST_DIR"))
}

fn png(image: DynamicImage) -> Image {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    Image::decode("p", &bytes.into_inner()).unwrap()
}

/// The largest difference of any value.
fn difference(a: &Image, b: &Image) -> u8 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    a.rgb().iter().zip(b.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn pixels_are_those_of_pillow() {
    // Decoders of lossy formats may round differently, and CMYK has no one meaning without a profile.
    let tolerance = [
        ("animated.gif", 0),
        ("animated.webp", 0),
        ("cmyk.jpg", 4),
        ("fine-chroma.jpg", 4),
        ("grey.jpg", 1),
        ("interlaced.png", 0),
        ("lossy-alpha.webp", 1),
        ("one-bit.png", 0),
        ("partly-interleaved.jpg", 4),
        ("palette.png", 0),
        ("progressive.jpg", 4),
        ("runs.bmp", 0),
        ("separate-scans-cmyk.jpg", 4),
        ("separate-scans-vertical.jpg", 4),
        ("separate-scans.jpg", 4),
        ("two-bits.png", 0),
    ];
    for (name, tolerance) in tolerance {
        let image = Image::open(format!("{}/{name}", folder())).unwrap();
        let expected = Image::open(format!("{}/expected/{name}.png", folder())).unwrap();
        let difference = difference(&image, &expected);
        println!("{name}: {difference}");
        assert!(difference <= tolerance, "{name}: off by {difference}");
    }
    // The pictures have enough in them to fail.
    let expected = |name: &str| Image::open(format!("{}/expected/{name}.png", folder())).unwrap();
    assert!(difference(&expected("animated.gif"), &expected("progressive.jpg")) > 4);
}

#[test]
fn jpegs_that_the_decoder_gets_wrong_are_refused_in_words() {
    let cases = [
        ("refused-arithmetic.jpg", "a JPEG with arithmetic coding, which is not supported; `jpegtran IN OUT`"),
        (
            "refused-sampling.jpg",
            "a JPEG with the sampling factors 4×1, 2×1, 1×1 in separate scans, which is not supported",
        ),
    ];
    for (name, expected) in cases {
        let path = format!("{}/{name}", folder());
        let error = Image::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(&path) && error.contains(expected) && error.contains("save it as PNG"), "{error}");
    }
}

/// EXIF data that hold an orientation as `SHORT` or `LONG`.
fn exif(number: u8, big_endian: bool, long: bool) -> Vec<u8> {
    let kind = if long { 4 } else { 3 };
    let start = if big_endian { b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0" } else { b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\0" };
    let mut bytes = start.to_vec();
    let value = match (big_endian, long) {
        (true, true) => [0, 0, 0, number],
        (true, false) => [0, number, 0, 0],
        _ => [number, 0, 0, 0],
    };
    if big_endian {
        bytes.extend([kind, 0, 0, 0, 1]);
    } else {
        bytes[12] = kind;
        bytes.extend([0, 1, 0, 0, 0]);
    }
    [&bytes[..], &value, &[0; 4]].concat()
}

#[test]
fn the_camera_s_orientation_is_applied() {
    let plain = std::fs::read(format!("{}/progressive.jpg", folder())).unwrap();
    let own = Image::decode("p", &plain).unwrap();
    let (width, height) = (own.width() as u32, own.height() as u32);
    let photo = DynamicImage::from(image::RgbImage::from_raw(width, height, own.rgb().to_vec()).unwrap());
    let turned = [
        photo.clone(),
        photo.fliph(),
        photo.rotate180(),
        photo.flipv(),
        photo.rotate90().fliph(),
        photo.rotate90(),
        photo.rotate90().flipv(),
        photo.rotate270(),
    ];
    let mut bytes = Cursor::new(vec![]);
    photo.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let png = bytes.into_inner();
    for (number, expected) in (1u8..).zip(turned) {
        let check = |bytes: &[u8], kind: &str| {
            let image = Image::decode("p", bytes).unwrap();
            assert_eq!((image.width() as u32, image.height() as u32), expected.dimensions(), "{kind} {number}");
            assert!(image.rgb() == expected.to_rgb8().as_raw(), "{kind} {number}");
        };
        for (big_endian, long) in [(true, false), (false, false), (true, true), (false, true)] {
            let exif = exif(number, big_endian, long);
            let length = (exif.len() as u16 + 8).to_be_bytes();
            let marked = [&plain[..2], &[0xff, 0xe1], &length, b"Exif\0\0", &exif, &plain[2..]].concat();
            check(&marked, "JPEG");
        }
        // In a PNG: in a chunk before or after the pixels, and as text in the ways in which that is written.
        let data = exif(number, true, false);
        let own = chunk(b"eXIf", &data);
        let end = png.len() - 12;
        check(&[&png[..33], &own, &png[33..]].concat(), "eXIf before the pixels");
        check(&[&png[..end], &own, &png[end..]].concat(), "eXIf after the pixels");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digits = hex(&[b"Exif\0\0", &data[..]].concat());
        let (first, second) = digits.split_at(30);
        let text = format!("\nexif\n{:>8}\n{first}\n{second}\n", digits.len() / 2);
        let packed = zlib(text.as_bytes());
        let texts = [
            chunk(b"tEXt", &[b"Raw profile type exif\0", text.as_bytes()].concat()),
            chunk(b"zTXt", &[b"Raw profile type APP1\0\0", &packed[..]].concat()),
            chunk(b"iTXt", &[b"Raw profile type exif\0\0\0en\0\0", text.as_bytes()].concat()),
            chunk(b"iTXt", &[b"Raw profile type exif\0\x01\0\0\0", &packed[..]].concat()),
        ];
        for text in texts {
            check(&[&png[..33], &text, &png[33..]].concat(), &String::from_utf8_lossy(&text[4..29]));
        }
    }
}

/// A PNG chunk.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &crc.sum().to_be_bytes()].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn transparency_is_shown_on_white_and_deep_or_grey_images_are_read() {
    let pixels = |image| png(image).rgb().to_vec();
    let rgba = image::RgbaImage::from_raw(3, 1, vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 51]).unwrap();
    assert_eq!(pixels(DynamicImage::ImageRgba8(rgba)), [10, 20, 30, 255, 255, 255, 204, 204, 204]);
    let grey_alpha = image::GrayAlphaImage::from_raw(2, 1, vec![7, 255, 7, 0]).unwrap();
    assert_eq!(pixels(DynamicImage::ImageLumaA8(grey_alpha)), [7, 7, 7, 255, 255, 255]);
    let deep = image::ImageBuffer::from_raw(1, 1, vec![65535u16, 0, 257 * 9]).unwrap();
    assert_eq!(pixels(DynamicImage::ImageRgb16(deep)), [255, 0, 9]);
    let deep_grey = image::ImageBuffer::from_raw(2, 1, vec![65535u16, 257 * 9]).unwrap();
    assert_eq!(pixels(DynamicImage::ImageLuma16(deep_grey)), [255, 255, 255, 9, 9, 9]);
    let deep_alpha = image::ImageBuffer::from_raw(1, 1, vec![257 * 9u16, 257 * 9, 0, 0]).unwrap();
    assert_eq!(pixels(DynamicImage::ImageRgba16(deep_alpha)), [255, 255, 255]);
}
