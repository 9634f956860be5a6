//! Times single DO-Conv layers, forward and with all gradients, on an adapter.
//!
//! `cargo run --release --example measure_layer -- ADAPTER` prints medians of 5 runs behind a warming-up one, upload and
//! read-back inside, after comparing the results of every mode with those of the CPU path.

use std::time::Instant;

use doconv::network::{Conv2d, DoConv, Pairing};
use doconv::{Adapter, Layer, Mode, Selector, Tensor, Weights, blocking, cpu, gpu};

const RUNS: usize = 5;

fn layer(inputs: usize, outputs: usize, groups: usize, kernel: usize, stride: usize) -> Layer {
    let taps = kernel * kernel;
    let doconv = Some(DoConv { d_mul: taps, pairing: Pairing::Paper });
    let padding = [kernel / 2; 4];
    let conv = Conv2d { groups, stride: [stride; 2], padding, doconv, ..Conv2d::new(inputs, outputs, [kernel; 2]) };
    let mut parameters = Weights::from([("W".into(), numbers([outputs, inputs / groups, taps]))]);
    if taps > 1 {
        parameters.insert("D".into(), numbers([inputs, taps, taps]));
    }
    Layer::new(conv, parameters).expect("a valid layer")
}

fn numbers(shape: impl Into<Vec<usize>>) -> Tensor {
    let shape = shape.into();
    let count = shape.iter().product();
    Tensor::new(shape, (0..count).map(|i| (i * 7919 % 2003) as f32 / 10015.0 - 0.1).collect()).expect("as many values")
}

/// Results and the median time in milliseconds.
fn time(layer: &Layer, adapter: &Adapter, mode: Mode, arrays: &[&[f32]], input: &[usize]) -> (Vec<Vec<f32>>, f64) {
    let (plan, _) = layer.plan(mode, input, arrays.len() > 1).expect("a plan");
    let mut run: Box<dyn FnMut() -> Vec<Vec<f32>>> = match adapter.gpu() {
        Some(device) => {
            let mut executor =
                pollster::block_on(gpu::Executor::with_policy(device, &plan, 1, device.policy())).expect("an executor");
            Box::new(move || pollster::block_on(executor.run(1, arrays)).expect("results"))
        }
        None => {
            let mut executor = cpu::Executor::new(&plan).expect("an executor");
            Box::new(move || executor.run(1, arrays).expect("results"))
        }
    };
    let results = run();
    let mut samples: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    (results, samples[RUNS / 2])
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "cpu".into());
    let adapter = blocking::open(&Selector::Named(name)).expect("an adapter of this name");
    let adapter = adapter.with_device(|device| device.set_shader_checks(false));
    println!("{}, {}", adapter.info().name, adapter.info().driver);
    let cases = [
        ("3→32, 3×3/2, 64²", layer(3, 32, 1, 3, 2), [4, 3, 64, 64]),
        ("16→16, 3×3, 32²", layer(16, 16, 1, 3, 1), [4, 16, 32, 32]),
        ("64→64, 3×3, 16²", layer(64, 64, 1, 3, 1), [4, 64, 16, 16]),
        ("64→64, 3×3, 16², 8 groups", layer(64, 64, 8, 3, 1), [4, 64, 16, 16]),
        ("64 depthwise 3×3, 32²", layer(64, 64, 64, 3, 1), [4, 64, 32, 32]),
        ("64→128, 1×1, 16²", layer(64, 128, 1, 1, 1), [4, 64, 16, 16]),
    ];
    for (what, layer, shape) in cases {
        let input = numbers(shape);
        let gradient = numbers(layer.output_shape(&shape).expect("the layer takes the input"));
        print!("{what:28}");
        for mode in Mode::ALL {
            let arrays = [input.data(), gradient.data()];
            let (_, forward) = time(&layer, &adapter, mode, &arrays[..1], &shape);
            let (results, both) = time(&layer, &adapter, mode, &arrays, &shape);
            let (wanted, _) = time(&layer, &Adapter::cpu(), Mode::Folded, &arrays, &shape);
            // Results come in the same order in all modes.
            for (got, want) in results.iter().zip(&wanted) {
                let range = want.iter().fold(1e-30f32, |range, value| range.max(value.abs()));
                let off = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= 1e-4 * range, "{what}, {}: {off} off in {range}", mode.name());
            }
            print!("  {} {forward:8.2} {both:8.2} ms", mode.name());
        }
        println!();
    }
}
