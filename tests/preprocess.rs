//! Preprocessing against recorded results of Pillow, which PyTorch's image pipelines use; see
//! `data/preprocess/make.py`.
#![cfg(feature = "image")]

use doconv::Image;
use doconv::image::preprocess;
use doconv::network::{Filter, Preprocess};

fn open(name: &str) -> Image {
    Image::open(format!("{}/tests/data/preprocess/{name}.png", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The values of the picture `name`, as [`preprocess`] orders them, at the size of the recorded result, and the latter.
fn ours_and_pillows(name: &str, filter: Filter, filter_name: &str) -> (Vec<f32>, Vec<f32>) {
    let recorded = open(&format!("{name}-{filter_name}"));
    let how = Preprocess { crop_fraction: 0.875, filter, mean: [0.0; 3], std: [1.0; 3] };
    let mut ours = vec![f32::NAN; recorded.rgb().len()];
    preprocess(&open(name), &how, recorded.height(), recorded.width(), &mut ours).unwrap();
    let planes = (0..3).flat_map(|channel| recorded.rgb().iter().skip(channel).step_by(3));
    (ours, planes.map(|&value| f32::from(value)).collect())
}

#[test]
fn pixels_are_those_of_pillow() {
    for (name, filter, filter_name) in [
        ("shrunk", Filter::Bicubic, "bicubic"),
        ("enlarged", Filter::Bicubic, "bicubic"),
        ("oblong", Filter::Bilinear, "bilinear"),
        ("edges", Filter::Bicubic, "bicubic"),
    ] {
        let (ours, pillows) = ours_and_pillows(name, filter, filter_name);
        assert!(ours == pillows, "{name}");
    }
}

#[test]
fn another_filter_gives_other_pixels() {
    let (ours, pillows) = ours_and_pillows("shrunk", Filter::Bilinear, "bicubic");
    assert!(ours != pillows);
}
