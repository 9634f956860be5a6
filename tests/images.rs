//! The kinds of images that there are, against what Pillow reads from them; see `data/images/make.py`.
#![cfg(feature = "image")]

use std::io::Cursor;

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
        ("grey.jpg", 1),
        ("interlaced.png", 0),
        ("lossy-alpha.webp", 1),
        ("one-bit.png", 0),
        ("palette.png", 0),
        ("progressive.jpg", 4),
        ("runs.bmp", 0),
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
fn the_camera_s_orientation_is_applied() {
    let photo = image::open(format!("{}/progressive.jpg", folder())).unwrap();
    let plain = std::fs::read(format!("{}/progressive.jpg", folder())).unwrap();
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
    for (number, expected) in (1u8..).zip(turned) {
        for big_endian in [true, false] {
            let exif = if big_endian {
                [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[number, 0, 0, 0, 0, 0, 0][..]]
                    .concat()
            } else {
                [b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[number, 0, 0, 0, 0, 0, 0, 0][..]]
                    .concat()
            };
            let length = (exif.len() as u16 + 2).to_be_bytes();
            let marked = [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat();
            let image = Image::decode("p", &marked).unwrap();
            assert_eq!((image.width() as u32, image.height() as u32), expected.dimensions(), "{number}");
            assert!(image.rgb() == expected.to_rgb8().as_raw(), "{number}");
        }
    }
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
