//! A classifier inside a program that is not async: `cargo run --example embed_blocking [IMAGE…]`.

use doconv::{Image, Mode, Model, Result, Selector, blocking};

const PHOTOS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/photos/rocket.jpg"),
];

/// Loaded once, used from anywhere.
struct Labeller(blocking::Session);

impl Labeller {
    fn new(adapter: &Selector) -> Result<Self> {
        let adapter = blocking::open(adapter)?;
        Ok(Self(blocking::Session::load(&adapter, &Model::bundled()?, Mode::Folded)?))
    }

    /// The most likely label of each image; all of them are computed as one batch.
    fn label(&mut self, images: &[Image]) -> Result<Vec<String>> {
        Ok(self.0.classify(images, 1)?.into_iter().map(|mut best| best.swap_remove(0).label).collect())
    }
}

fn main() -> Result<()> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        paths = PHOTOS.map(String::from).to_vec();
    }
    let images = paths.iter().map(Image::open).collect::<Result<Vec<_>>>()?;
    let mut labeller = Labeller::new(&Selector::Auto)?;
    for (path, label) in paths.iter().zip(labeller.label(&images)?) {
        println!("{path}: {label}");
    }
    Ok(())
}
