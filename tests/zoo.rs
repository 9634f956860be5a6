//! Every architecture has the parameters of its original, and computes the same: `tests/data/zoo/make.py` ran torchvision
//! and GluonCV's structure on weights that both sides draw from the same generator.

use std::collections::BTreeMap;

use doconv::formats::read_tensors;
use doconv::network::zoo;
use doconv::{Adapter, Mode, Model, Network, Selector, Tensor, Weights, blocking};
use pollster::block_on;

/// Every how many-th logit was recorded, of networks with a thousand.
const KEPT: usize = 7;
/// These take seconds and gigabytes, and their blocks are those of smaller networks.
const LARGE: [&str; 3] = ["resnet101", "resnet152", "vgg16"];

fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Numbers in [-1, 1): splitmix64 seeded with the name's hash, the upper 24 bits of every output.
fn noise(name: &str) -> impl Iterator<Item = f64> {
    let mut state = fnv1a(name);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

fn parameter(name: &str, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let part = name.rsplit('.').next().unwrap();
    let (offset, scale) = match part {
        "weight" if shape.len() > 1 => (0.0, (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
        "weight" | "running_var" => (1.0, 0.25),
        _ => (0.0, 0.1),
    };
    let values = noise(name).take(count).map(|value| (offset + scale * value) as f32).collect();
    Tensor::new(shape, values).unwrap()
}

fn weights(network: &Network) -> Weights {
    network.parameters().into_iter().map(|(name, shape)| (name.clone(), parameter(&name, &shape))).collect()
}

/// One line of `parameters.txt`.
struct Original {
    /// The name, with `.gluon` or `.authors` for the second naming.
    name: &'static str,
    input: [usize; 3],
    tensors: usize,
    trained: u64,
    hash: u64,
}

impl Original {
    fn arch(&self) -> &'static str {
        self.name.split('.').next().unwrap()
    }

    fn network(&self) -> Network {
        let naming = usize::from(self.name.contains('.'));
        zoo::variants(self.arch()).unwrap().swap_remove(naming)
    }
}

fn originals() -> Vec<Original> {
    let line = |line: &'static str| {
        let [name, input, tensors, trained, hash] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let input: Vec<usize> = input.split('x').map(|extent| extent.parse().unwrap()).collect();
        Original {
            name,
            input: input.try_into().unwrap(),
            tensors: tensors.parse().unwrap(),
            trained: trained.parse().unwrap(),
            hash: u64::from_str_radix(hash, 16).unwrap(),
        }
    };
    include_str!("data/zoo/parameters.txt").lines().map(line).collect()
}

#[test]
fn every_name_and_shape_is_that_of_the_original() {
    for original in originals() {
        let network = original.network();
        let parameters: BTreeMap<String, Vec<usize>> = network.parameters().into_iter().collect();
        let list: String = parameters.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
        assert_eq!(parameters.len(), original.tensors, "{}:\n{list}", original.name);
        assert_eq!(fnv1a(&list), original.hash, "{}:\n{list}", original.name);
        assert_eq!(network.cost().unwrap().total(|layer| layer.parameters), original.trained, "{}", original.name);
    }
}

#[test]
fn every_name_builds_a_network_of_the_published_size() {
    let published = [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50_32x4d", 25_028_904),
        ("mobilenet_v1", 4_231_976),
        ("mobilenet_v2", 3_504_872),
        ("mobilenet_v3_small", 2_542_856),
        ("mobilenet_v3_large", 5_483_032),
        ("vgg16", 138_357_544),
        ("squeezenet1_1", 1_235_496),
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
    ];
    let originals = originals();
    for name in zoo::NAMES {
        let network = zoo::build(name).unwrap();
        assert_eq!(network.name, name);
        let inferred = network.infer(1).unwrap();
        let cifar = ["resnet20", "resnet32", "resnet44", "resnet56"].contains(&name);
        let (input, classes) = match name {
            "mnist_sample" => ([1, 1, 28, 28], 10),
            "efficientnet_lite1" => ([1, 3, 240, 240], 1000),
            "efficientnet_lite2" => ([1, 3, 260, 260], 1000),
            _ if cifar => ([1, 3, 32, 32], 10),
            _ => ([1, 3, 224, 224], 1000),
        };
        assert_eq!((inferred.inputs[0], inferred.shape(inferred.outputs[0])), (input, [1, classes, 1, 1]), "{name}");
        assert_eq!(network.preprocess.is_some(), name != "mnist_sample");
        let known = originals.iter().any(|original| original.name == name);
        assert!(known || name.starts_with("efficientnet"), "nothing was recorded for {name}");
        if let Some((_, parameters)) = published.iter().find(|(known, _)| *known == name) {
            assert_eq!(network.cost().unwrap().total(|layer| layer.parameters), *parameters, "{name}");
        }
    }
    let error = zoo::build("alexnet").unwrap_err().to_string();
    assert!(error.starts_with("no architecture is called `alexnet`; there is: plain18, resnet18, "), "{error}");
}

#[test]
fn the_names_of_the_weights_pick_the_network() {
    for original in originals() {
        let shapes = original.network().parameters().into_iter();
        let empty: Weights = shapes.map(|(name, _)| (name, Tensor::zeros([0]))).collect();
        assert_eq!(zoo::build_for(original.arch(), &empty).unwrap(), original.network(), "{}", original.name);
    }
    assert_eq!(zoo::build_for("resnet18", &Weights::new()).unwrap(), zoo::build("resnet18").unwrap());
    assert!(zoo::build_for("alexnet", &Weights::new()).is_err());
}

#[test]
fn fitting_networks_are_found() {
    for (name, expected) in [
        ("resnet20", vec!["resnet20"]),
        ("plain18", vec!["plain18"]),
        ("resnet18", vec!["resnet18", "resnet18_v1b"]),
        ("resnet18_v2", vec!["resnet18_v2"]),
        ("mobilenet_v3_small", vec!["mobilenet_v3_small"]),
        ("mnist_sample", vec!["mnist_sample"]),
    ] {
        for network in zoo::variants(name).unwrap() {
            let mut weights: Weights =
                network.parameters().into_iter().map(|(name, shape)| (name, Tensor::zeros(shape))).collect();
            let gluon = network != zoo::build(name).unwrap();
            // GluonCV's v1b has torchvision's names, so its v1 is alone under its own.
            assert_eq!(zoo::fitting(&weights), expected[..if gluon { 1 } else { expected.len() }], "{name}");
            weights.insert("surplus.weight".into(), Tensor::zeros([1]));
            assert!(zoo::fitting(&weights).is_empty());
            weights.remove("surplus.weight");
            weights.pop_last();
            assert!(zoo::fitting(&weights).is_empty());
        }
    }
}

/// Largest difference in units of the recorded values' range; infinite where something is not finite.
fn difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let (low, high) = want.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    let distance = |(&got, &want): (&f32, &f32)| f64::from((got - want).abs()) / f64::from(high - low);
    let larger = |worst: f64, next: f64| if next.is_finite() { worst.max(next) } else { f64::INFINITY };
    got.iter().zip(want).map(distance).fold(0.0, larger)
}

#[test]
fn every_network_computes_what_the_original_computes() {
    let (recorded, _) = read_tensors("logits", include_bytes!("data/zoo/logits.safetensors")).unwrap();
    let adapter = block_on(Adapter::open(&Selector::Named("cpu".into()))).unwrap();
    let all = std::env::var_os("DOCONV_TEST_ALL").is_some();
    for original in originals() {
        if !all && LARGE.iter().any(|large| original.name.starts_with(large)) {
            continue;
        }
        let mut network = original.network();
        network.inputs[0].shape = original.input;
        let [c, h, w] = original.input;
        let image = noise("image").take(c * h * w).map(|value| value as f32).collect();
        let image = Tensor::new([1, c, h, w], image).unwrap();
        let weights = weights(&network);
        let model = Model::new(network, weights).unwrap();
        let mut session = blocking::Session::load(&adapter, &model, Mode::Folded).unwrap();
        let logits = session.run(&[image]).unwrap().swap_remove(0).into_data();
        let got: Vec<f32> = logits.iter().copied().step_by(if logits.len() == 1000 { KEPT } else { 1 }).collect();
        let want = recorded[original.name].data();
        let off = difference(&got, want);
        assert!(off < 1e-4, "{}: {off} of the range", original.name);
        // The other naming draws other weights, so a wrong network cannot pass by chance.
        assert!(difference(&got[1..], &want[..want.len() - 1]) > 1e-2, "{}", original.name);
    }
}
