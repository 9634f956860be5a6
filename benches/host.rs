//! What the host does before an adapter computes: `cargo bench`.
//!
//! What adapters do is timed by `doconv bench`, which checks every result too.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use doconv::doconv::{Expansion, add_identity, fold};
use doconv::gpu::kernels::families;
use doconv::gpu::shader::{KernelLayout, pack_d, pack_w};
use doconv::image::preprocess;
use doconv::network::Conv2d;
use doconv::plan::Plan;
use doconv::{Bundled, Image, Mode, Model, Tensor};

/// From the decoded photograph to the network's input.
fn photograph(criterion: &mut Criterion) {
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png")).unwrap();
    let model = Model::bundled().unwrap();
    let how = model.network().preprocess.as_ref().unwrap();
    let [channels, height, width] = model.network().inputs[0].shape;
    let mut input = vec![0.0; channels * height * width];
    criterion.bench_function("preprocess a photograph", |bencher| {
        bencher.iter(|| preprocess(black_box(&image), how, height, width, &mut input).unwrap());
    });
}

fn network(criterion: &mut Criterion) {
    criterion.bench_function("read the bundled model file", |bencher| {
        bencher.iter(|| Model::from_bytes("the bundled model", black_box(Bundled::ImageNet.bytes())).unwrap());
    });
    let model = Model::bundled().unwrap();
    for mode in Mode::ALL {
        criterion.bench_function(&format!("plan a network, mode {}", mode.name()), |bencher| {
            bencher.iter(|| Plan::new(black_box(&model), mode).unwrap());
        });
    }
}

/// A layer of ResNet-18: 3×3, 256 channels in and out.
fn layer(criterion: &mut Criterion) {
    let conv = Conv2d::new(256, 256, [3, 3]);
    let count = conv.kernel_shape().iter().product();
    let kernel =
        Tensor::new(conv.kernel_shape(), (0..count).map(|at| (at % 101) as f32 / 50.0 - 1.0).collect()).unwrap();
    let expanded = Expansion { d_mul: None, jitter: 0.1, seed: 1 }.expand("layer", &conv, &kernel).unwrap();
    let (w, mut d, attributes) = (expanded.w, expanded.d_residual, expanded.attributes);
    add_identity(conv.taps(), attributes.d_mul, d.data_mut());
    let composed = doconv::doconv::Composed { w, d, attributes };
    criterion.bench_function("fold a layer in f64", |bencher| {
        bencher.iter(|| fold(&conv, black_box(&composed)).unwrap());
    });
    criterion.bench_function("pack a kernel for shaders", |bencher| {
        bencher.iter(|| KernelLayout::of(&conv).pack(&conv, black_box(kernel.data())));
    });
    criterion.bench_function("pack W and D for shaders", |bencher| {
        bencher.iter(|| {
            let w = pack_w(&conv, attributes.d_mul, black_box(composed.w.data()));
            (w, pack_d(&conv, black_box(composed.d.data())))
        });
    });
}

fn shader(criterion: &mut Criterion) {
    let tiled = families().into_iter().find(|family| family.name == "conv_tiled").unwrap();
    let shader = (tiled.specialisations)().swap_remove(0);
    criterion.bench_function("generate the WGSL of a shader", |bencher| bencher.iter(|| black_box(&shader).wgsl()));
}

criterion_group!(host, photograph, network, layer, shader);
criterion_main!(host);
