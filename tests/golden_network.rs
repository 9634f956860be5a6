//! The bundled network gives PyTorch's logits: eight recorded ImageNet crops, on every adapter and in every mode (in
//! feature mode on software adapters two of them, unless `DOCONV_TEST_ALL` is set).

use doconv::network::Op;
use doconv::{Adapter, AdapterKind, Mode, Model, Selector, Session, Tensor};
use pollster::block_on;

/// Largest difference from PyTorch with the original f32 weights, in units of the logits' range: the bundled file
/// stores f16.
const TOLERANCE_F16: f64 = 2e-2;
/// Largest difference from the f64 reference with the same weights, in the same units: the error that the reference's model
/// grants a sum of a layer's products, `2⁻²⁴ · (4 + √K)` (Higham and Mary), of all layers as if they were independent, four times.
fn rounding(model: &Model) -> f64 {
    let terms = model.network().nodes.iter().filter_map(|node| match &node.op {
        Op::Conv2d(conv) => Some(conv.channels_per_group() * conv.taps()),
        Op::Linear(linear) => Some(linear.in_features),
        _ => None,
    });
    let growth = |terms: usize| (4.0 + (terms as f64).sqrt()) / f64::from(1 << 24);
    4.0 * terms.map(|terms| growth(terms).powi(2)).sum::<f64>().sqrt()
}

struct Golden {
    /// `[8, 3, 224, 224]`.
    input: Tensor,
    /// `[8, 1000]`, row by row.
    logits: Vec<f32>,
}

fn golden() -> Golden {
    let bytes = include_bytes!("data/efficientnet-lite0-golden.safetensors");
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let crops = file.tensor("crop_rgb_u8").unwrap();
    assert_eq!(crops.shape(), [8, 224, 224, 3]);
    let area = 224 * 224;
    let mut input = Tensor::zeros([8, 3, 224, 224]);
    for (at, &value) in crops.data().iter().enumerate() {
        let (image, pixel, channel) = (at / (3 * area), at / 3 % area, at % 3);
        input.data_mut()[(image * 3 + channel) * area + pixel] = (f32::from(value) - 127.0) / 128.0;
    }
    let logits = file.tensor("logits").unwrap();
    let logits = logits.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    Golden { input, logits }
}

/// Largest difference in units of `want`'s range; infinite where something is not finite.
fn difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let (low, high) = want.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    let worst = got
        .iter()
        .zip(want)
        .map(|(&got, &want)| f64::from((got - want).abs()))
        .fold(0.0, |worst: f64, next| if next.is_nan() { f64::INFINITY } else { worst.max(next) });
    worst / f64::from(high - low)
}

fn top(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

#[test]
fn every_adapter_and_mode_gives_the_recorded_logits() {
    let (model, golden) = (Model::bundled().unwrap(), golden());
    for (index, info) in block_on(Adapter::list()).iter().enumerate() {
        // As in release builds: debug checks double the time of a software adapter, and the operator suite has them.
        let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let adapter = adapter.with_device(|device| device.set_shader_checks(false));
        for mode in Mode::ALL {
            // Feature composition has ten times the work, which software adapters take their time for.
            let slow = mode == Mode::Feature && info.kind == AdapterKind::Software;
            let images = if slow && std::env::var_os("DOCONV_TEST_ALL").is_none() { 2 } else { 8 };
            let input = golden.input.data()[..images * 3 * 224 * 224].to_vec();
            let input = Tensor::new([images, 3, 224, 224], input).unwrap();
            let logits = &golden.logits[..images * 1000];
            let mut session = block_on(Session::load(&adapter, &model, mode)).unwrap();
            let output = block_on(session.run(&[input])).unwrap().swap_remove(0);
            let worst = difference(output.data(), logits);
            println!("{}, {}: {worst:.1e} of the range", info.name, mode.name());
            assert!(worst <= TOLERANCE_F16, "{}, {}: {worst:.1e} of the range", info.name, mode.name());
            for (got, want) in output.data().chunks_exact(1000).zip(logits.chunks_exact(1000)) {
                assert_eq!(top(got), top(want), "{}, {}", info.name, mode.name());
            }
        }
    }
}

#[test]
fn with_the_same_weights_the_difference_is_rounding() {
    let (model, golden) = (Model::bundled().unwrap(), golden());
    let first = Tensor::new([1, 3, 224, 224], golden.input.data()[..3 * 224 * 224].to_vec()).unwrap();
    let reference = doconv::reference::run(&model, std::slice::from_ref(&first)).unwrap().swap_remove(0);
    let want: Vec<f32> = reference.data.iter().map(|&value| value as f32).collect();
    for (index, info) in block_on(Adapter::list()).iter().enumerate() {
        let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let output = block_on(session.run(std::slice::from_ref(&first))).unwrap().swap_remove(0);
        let worst = difference(output.data(), &want);
        println!("{}: {worst:.1e} of the range, at most {:.1e}", info.name, rounding(&model));
        assert!(worst <= rounding(&model), "{}: {worst:.1e} of the range", info.name);
    }
}

#[test]
fn the_comparison_notices_a_wrong_logit() {
    let want = golden().logits;
    let mut got = want.clone();
    assert_eq!(difference(&got, &want), 0.0);
    got[4321] += 1.0;
    assert!(difference(&got, &want) > TOLERANCE_F16);
    got[4321] = f32::NAN;
    assert!(difference(&got, &want) > TOLERANCE_F16);
}
