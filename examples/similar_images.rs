//! The images that are most like the first one: `cargo run --example similar_images IMAGE IMAGE…`.

use doconv::{Adapter, Image, Mode, Model, Selector, Session};

const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/photos");

/// The cosine of the angle between two vectors.
fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

async fn search(paths: &[String]) -> doconv::Result<()> {
    let images = paths.iter().map(Image::open).collect::<doconv::Result<Vec<_>>>()?;
    let adapter = Adapter::open(&Selector::Auto).await?;
    let mut session = Session::load(&adapter, &Model::bundled()?.embedding()?, Mode::Folded).await?;
    let vectors = session.embed(&images).await?;
    let mut ranked: Vec<_> = paths.iter().zip(vectors.iter().map(|vector| similarity(&vectors[0], vector))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (path, similarity) in ranked.iter().take(10) {
        println!("{similarity:.3}  {path}");
    }
    Ok(())
}

fn main() -> doconv::Result<()> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        paths = ["chelsea.png", "coffee.png"].map(|name| format!("{PHOTOS}/{name}")).into();
    }
    pollster::block_on(search(&paths))
}
