//! Layers recorded from the authors' PyTorch implementation, with their gradients.

use doconv::formats::LayerFile;
use doconv::plan::Mode;
use doconv::{Error, Tensor};
use pollster::block_on;

use crate::common::adapters::adapters;

/// Every recorded layer, by name.
pub fn recorded() -> Vec<(String, LayerFile)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/layers");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 19, "{files:?}");
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), LayerFile::open(path).unwrap())).collect()
}

/// The largest difference as a fraction of the recorded tensor's range; infinite where something is not finite.
fn distance(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.shape(), want.shape());
    let range = want.data().iter().fold(0.0f64, |range, &value| range.max(f64::from(value).abs()));
    let off = |(&got, &want): (&f32, &f32)| (f64::from(got) - f64::from(want)).abs();
    let worst = got.data().iter().zip(want.data()).map(off);
    worst.fold(0.0, |worst, off| if off.is_nan() { f64::INFINITY } else { worst.max(off) }) / range
}

/// The layers whose pairing lets one input channel meet several D.
const WITHOUT_FEATURE_FORM: [&str; 3] = ["depthwise_multiplier2", "grouped2", "grouped4_resnext"];

#[test]
fn every_adapter_gives_the_recorded_results() {
    for (adapter_name, adapter) in adapters() {
        let mut worst = 0.0f64;
        for (name, file) in recorded() {
            for mode in Mode::ALL {
                let results = block_on(file.layer().run(&adapter, mode, file.input(), file.grad_output()));
                if mode == Mode::Feature && WITHOUT_FEATURE_FORM.contains(&name.as_str()) {
                    let Err(Error::Unsupported(reason)) = results else { panic!("{name}: {results:?}") };
                    assert!(reason.contains("torch pairing") && reason.contains("several D"), "{reason}");
                    continue;
                }
                let results =
                    results.unwrap_or_else(|error| panic!("{adapter_name}, {name}, {}: {error}", mode.name()));
                let results = file.results(results).unwrap();
                let names = |tensors: &doconv::Weights| tensors.keys().cloned().collect::<Vec<_>>();
                assert_eq!(names(&results), names(file.recorded()), "{name}");
                for (what, want) in file.recorded() {
                    let off = distance(&results[what], want);
                    assert!(off <= 1e-5, "{adapter_name}, {name}, {}: {what} is off by {off:e}", mode.name());
                    worst = worst.max(off);
                }
            }
        }
        println!("{adapter_name}: at worst {worst:e} of the range");
    }
}
