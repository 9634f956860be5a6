//! What is in a picture: `cargo run --example classify [IMAGE]`.

use doconv::{Adapter, Image, Mode, Model, Selector, Session};

const CAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png");

async fn classify(path: &str) -> doconv::Result<()> {
    let adapter = Adapter::open(&Selector::Auto).await?;
    let mut session = Session::load(&adapter, &Model::bundled()?, Mode::Folded).await?;
    println!("{path}, on {}:", adapter.info().name);
    for prediction in &session.classify(&[Image::open(path)?], 5).await?[0] {
        println!("{:5.1} %  {}", 100.0 * prediction.probability, prediction.label);
    }
    Ok(())
}

fn main() -> doconv::Result<()> {
    let path = std::env::args().nth(1);
    pollster::block_on(classify(path.as_deref().unwrap_or(CAT)))
}
