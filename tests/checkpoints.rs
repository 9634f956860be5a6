//! Other programs' files: the same small DO-Conv network as PyTorch, TensorFlow and Gluon save it, the CIFAR network of
//! the DO-Conv layer's own code, and files that are broken or mean harm.

use std::io::Write;

use doconv::formats::{StateDict, read_tensors, write_tensors};
use doconv::network::{Conv2d, DoConv, Op, Pairing, zoo};
use doconv::{Adapter, Dtype, Error, Mode, Model, Selector, Tensor, Weights, blocking};
use pollster::block_on;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/checkpoints");

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/{file}")).unwrap()
}

fn state_dict(file: &str) -> StateDict {
    StateDict::from_bytes(file, &bytes(file)).unwrap_or_else(|error| panic!("{error}"))
}

fn error(file: &str, bytes: &[u8]) -> String {
    let error = match StateDict::from_bytes(file, bytes).and_then(|weights| weights.into_model("mnist_sample")) {
        Ok(_) => panic!("{file} was read"),
        Err(error) => error.to_string(),
    };
    assert!(error.starts_with(&format!("{file}: ")) && !error.contains('\n'), "{error}");
    error
}

fn run(model: &Model, mode: Mode, input: &Tensor) -> Tensor {
    let adapter = block_on(Adapter::open(&Selector::Named("cpu".into()))).unwrap();
    let mut session = blocking::Session::load(&adapter, model, mode).unwrap();
    session.run(std::slice::from_ref(input)).unwrap().swap_remove(0)
}

/// Largest difference in units of `want`'s range.
fn difference(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.data().len(), want.data().len());
    let (low, high) = want.data().iter().fold((f32::MAX, f32::MIN), |(l, h), &value| (l.min(value), h.max(value)));
    let distances = got.data().iter().zip(want.data()).map(|(a, b)| f64::from((a - b).abs() / (high - low)));
    distances.fold(0.0, |worst, next| if next.is_finite() { worst.max(next) } else { f64::INFINITY })
}

fn expected() -> (Tensor, Tensor) {
    let (mut tensors, _) = read_tensors("expected", &bytes("expected.safetensors")).unwrap();
    (tensors.remove("image").unwrap(), tensors.remove("logits").unwrap())
}

#[test]
fn every_container_and_convention_gives_the_same_network() {
    let (image, logits) = expected();
    let composed = [
        ("doconv.pth", Pairing::Torch),
        ("protocol4.pth", Pairing::Torch),
        ("legacy.pth", Pairing::Torch),
        ("wrapped.pth", Pairing::Torch),
        ("sequential.pth", Pairing::Torch),
        ("torch.npz", Pairing::Torch),
        ("tensorflow.npz", Pairing::Paper),
        ("gluon.npz", Pairing::Paper),
    ];
    for (file, pairing) in composed {
        let model = state_dict(file).into_model("mnist_sample").unwrap_or_else(|error| panic!("{error}"));
        assert!(model.is_composed(), "{file}");
        let marks = model.convolutions().map(|(_, conv)| conv.doconv.unwrap());
        assert!(marks.into_iter().all(|mark| mark == DoConv { d_mul: 9, pairing }), "{file}");
        for mode in Mode::ALL {
            let off = difference(&run(&model, mode, &image), &logits);
            assert!(off < 1e-5, "{file}, {}: {off}", mode.name());
        }
    }
    for (file, tolerance) in
        [("parameters.pt", 1e-5), ("views.pth", 1e-5), ("keras.npz", 1e-5), ("half.pth", 2e-3), ("bfloat16.pth", 2e-2)]
    {
        let model = state_dict(file).into_model("mnist_sample").unwrap_or_else(|error| panic!("{error}"));
        assert!(!model.is_composed(), "{file}");
        let off = difference(&run(&model, Mode::Folded, &image), &logits);
        assert!(off < tolerance, "{file}: {off}");
    }
    assert!(state_dict("views.pth").dtypes().iter().eq(["F32", "F64"]));
    assert!(state_dict("half.pth").dtypes().iter().eq(["F16"]));
}

#[test]
fn the_cifar_network_of_the_pytorch_layer_gives_the_recorded_logits() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let weights = StateDict::open(format!("{folder}/resnet20-doconv.safetensors")).unwrap();
    assert_eq!(weights.fitting(), ["resnet20"]);
    let io = std::fs::read(format!("{folder}/resnet20-doconv-io.safetensors")).unwrap();
    let (io, _) = read_tensors("io", &io).unwrap();
    let model = weights.into_model("resnet20").unwrap();
    let folded = model.fold().unwrap().fold_batch_norms().unwrap();
    assert!(!folded.is_composed());
    for (model, mode) in
        [(&model, Mode::Folded), (&model, Mode::Kernel), (&folded, Mode::Folded), (&folded, Mode::Kernel)]
    {
        let off = difference(&run(model, mode, &io["input"]), &io["logits"]);
        assert!(off < 1e-4, "{}: {off}", mode.name());
    }
}

/// The weights of a DO-Conv network in which every spatial convolution has its own D, from a plain one.
fn composed(arch: &str, d_mul: Option<usize>) -> Weights {
    let network = zoo::build(arch).unwrap();
    let value = |index: usize| ((index * 7919 + 13) % 1009) as f32 / 1009.0;
    let parameter = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product::<usize>();
        (name, Tensor::new(shape, (0..count).map(|index| 0.01 + 0.02 * value(index)).collect()).unwrap())
    };
    let plain = network.parameters().into_iter().map(parameter).collect();
    Model::new(network, plain).unwrap().expand(d_mul, 0.1, 1).unwrap().weights().clone()
}

#[test]
fn every_spatial_convolution_may_be_composed() {
    for arch in ["mobilenet_v1", "resnet20", "squeezenet1_1", "mnist_sample"] {
        let file =
            write_tensors(composed(arch, None).iter().map(|(n, t)| (n.as_str(), t)), &Default::default(), Dtype::F32);
        let weights = StateDict::from_bytes("w", &file.unwrap()).unwrap();
        assert_eq!(weights.fitting(), [arch]);
        let model = weights.into_model(arch).unwrap();
        let spatial = model.convolutions().filter(|(_, conv)| conv.taps() > 1).count();
        let held = model.weights().keys().filter(|name| name.ends_with(".W")).count();
        assert!(spatial > 0 && held == spatial, "{arch}: {held} of {spatial}");
    }
}

#[test]
fn the_depth_multiplier_is_that_of_w() {
    let read = |weights: &Weights| {
        let file =
            write_tensors(weights.iter().map(|(n, t)| (n.as_str(), t)), &Default::default(), Dtype::F32).unwrap();
        StateDict::from_bytes("w", &file).and_then(|weights| weights.into_model("mnist_sample"))
    };
    let model = read(&composed("mnist_sample", Some(18))).unwrap();
    assert!(model.convolutions().all(|(_, conv)| conv.doconv.unwrap().d_mul == 18));
    assert!(model.rank_deficient_layers().is_empty());

    // A D_mul below the taps starts at a rank-deficient kernel; such files exist and are read.
    let mut weights = composed("mnist_sample", None);
    weights.insert("conv2.W".into(), Tensor::zeros([16, 16, 4]));
    weights.insert("conv2.D".into(), Tensor::zeros([16, 9, 4]));
    let model = read(&weights).unwrap();
    assert_eq!(model.rank_deficient_layers(), ["conv2"]);
    assert!(model.fold().unwrap().weights()["conv2.weight"].data().iter().all(|&value| value == 0.0));

    // The 1×1 layers of the authors' PyTorch code have a W without a D; here they are those of the CIFAR network.
    let mut weights = composed("resnet20", None);
    let kernel = weights.remove("layer2.0.shortcut.0.weight").unwrap();
    let shape = [kernel.shape()[0], kernel.shape()[1], 1];
    weights.insert("layer2.0.shortcut.0.W".into(), kernel.reshape(shape).unwrap());
    let model = Model::from_state_dict(zoo::build("resnet20").unwrap(), weights).unwrap();
    assert!(model.fold().is_ok());
}

/// TensorFlow's and Gluon's composition for groups as their layers do it: reshape, einsum, reshape, all row-major.
fn tensorflow_fold(kernel: &Tensor, d: &Tensor, taps: usize) -> Tensor {
    let &[s, cpg, out] = kernel.shape() else { panic!() };
    let inputs = d.shape()[2];
    let per_group = cpg * out / inputs;
    let mut folded = Tensor::zeros([taps, cpg, out]);
    for m in 0..taps {
        for i in 0..inputs {
            for o in 0..per_group {
                let terms = (0..s).map(|s_index| {
                    let identity = if s_index % taps == m && s_index < s / taps * taps { 1.0 } else { 0.0 };
                    let d = d.data()[(m * s + s_index) * inputs + i] + identity;
                    d * kernel.data()[(s_index * inputs + i) * per_group + o]
                });
                folded.data_mut()[(m * inputs + i) * per_group + o] = terms.sum();
            }
        }
    }
    folded
}

#[test]
fn grouped_layers_of_tensorflow_and_gluon_pair_d_with_the_right_channel() {
    // The grouped convolutions of ResNeXt have 32 groups of 4; one of them gets a W and a D.
    let layer = "layer1.0.conv2";
    let network = zoo::build("resnext50_32x4d").unwrap();
    let conv = network.nodes.iter().find(|node| node.name == layer).map(|node| match &node.op {
        Op::Conv2d(conv) => conv.clone(),
        other => panic!("{other:?}"),
    });
    let Conv2d { in_channels, out_channels, groups, .. } = conv.unwrap();
    let (cpg, taps) = (in_channels / groups, 9);
    assert!(cpg > 1 && groups > 1);
    let values = |count: usize, seed: usize| (0..count).map(|i| ((i * 31 + seed) % 97) as f32 / 97.0 - 0.5).collect();
    for (s, gluon) in [(9, false), (9, true), (11, false)] {
        let kernel = Tensor::new([s, cpg, out_channels], values(s * cpg * out_channels, 5)).unwrap();
        let d = Tensor::new([taps, s, in_channels], values(taps * s * in_channels, 11)).unwrap();
        let want = tensorflow_fold(&kernel, &d, taps);

        let zeros = |(name, shape): (String, Vec<usize>)| (name, Tensor::zeros(shape));
        let mut weights: Weights = network.parameters().into_iter().map(zeros).collect();
        weights.remove(&format!("{layer}.weight"));
        if gluon {
            // The same numbers with the axes (out, cpg, M, N).
            let mut weight = Tensor::zeros([out_channels, cpg, 3, 3]);
            for (index, value) in weight.data_mut().iter_mut().enumerate() {
                let (o, j, m) = (index / (cpg * 9), index / 9 % cpg, index % 9);
                *value = kernel.data()[(m * cpg + j) * out_channels + o];
            }
            weights.insert(format!("{layer}.weight"), weight);
        } else {
            weights.insert(format!("{layer}.kernel"), kernel);
        }
        weights.insert(format!("{layer}.D"), d);
        let file =
            write_tensors(weights.iter().map(|(n, t)| (n.as_str(), t)), &Default::default(), Dtype::F32).unwrap();
        let model = StateDict::from_bytes("w", &file).unwrap().into_model("resnext50_32x4d").unwrap();
        let folded = model.fold().unwrap();
        let got = &folded.weights()[&format!("{layer}.weight")];
        for (index, &got) in got.data().iter().enumerate() {
            let (o, j, m) = (index / (cpg * 9), index / 9 % cpg, index % 9);
            let want = want.data()[(m * cpg + j) * out_channels + o];
            assert!((got - want).abs() < 1e-5, "{o}, {j}, {m}: {got} instead of {want}");
        }
    }
}

#[test]
fn a_pickle_that_asks_for_more_than_tensors_is_refused_by_name() {
    for file in ["malicious.pth", "malicious-bare.pth"] {
        let error = error(file, &bytes(file));
        assert!(error.contains("asks for the Python object `posix.system`, which no tensor needs"), "{error}");
    }
}

#[test]
fn broken_files_are_named() {
    let whole = bytes("doconv.pth");
    for end in [5, 40, whole.len() / 2, whole.len() - 1] {
        error("cut.pth", &whole[..end]);
    }
    assert!(error("cut.pth", &whole[..whole.len() / 2]).contains("truncated or damaged zip archive"));
    assert!(error("empty.pth", b"").contains("the file is empty"));
    assert!(error("huge.pth", &bytes("huge.pth")).contains("1099511627776"));
    assert!(error("large.pth", &bytes("large.pth")).contains("would unpack to 536870912 bytes, which is too much"));
    assert!(error("x.h5", b"\x89HDF\r\n\x1a\n").contains("HDF5 files are not read"));
    assert!(error("text", b"hello, this is not a checkpoint").contains("not a valid safetensors file"));

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    zip.start_file("readme.txt", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"nothing").unwrap();
    assert!(
        error("other.zip", &zip.finish().unwrap().into_inner()).contains("neither `data.pkl` (PyTorch) nor `.npy`")
    );

    // Half a gigabyte of zeros in half a megabyte.
    let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    zip.start_file("a.npy", deflated).unwrap();
    (0..512).for_each(|_| zip.write_all(&vec![0; 1 << 20]).unwrap());
    assert!(error("bomb.npz", &zip.finish().unwrap().into_inner()).contains("would unpack to 536870912 bytes"));
}

#[test]
fn what_does_not_fit_is_named_with_what_does() {
    let file = |weights: &Weights| {
        write_tensors(weights.iter().map(|(n, t)| (n.as_str(), t)), &Default::default(), Dtype::F32).unwrap()
    };
    let good = state_dict("doconv.pth").weights().clone();
    let broken = |change: &dyn Fn(&mut Weights)| {
        let mut weights = good.clone();
        change(&mut weights);
        error("w", &file(&weights))
    };
    let missing = broken(&|weights| drop(weights.remove("conv2.D")));
    assert_eq!(missing, "w: no weights of mnist_sample: tensor `conv2.D`: missing");
    let surplus = broken(&|weights| drop(weights.insert("fc.weight".into(), Tensor::zeros([1]))));
    assert_eq!(surplus, "w: no weights of mnist_sample: tensor `fc.weight`: surplus: no layer of the network uses it");
    let shape = broken(&|weights| drop(weights.insert("conv1.bias".into(), Tensor::zeros([15]))));
    assert_eq!(shape, "w: no weights of mnist_sample: tensor `conv1.bias`: expected shape [16], the file has [15]");
    let flat = broken(&|weights| drop(weights.insert("conv1.W".into(), Tensor::zeros([144]))));
    assert!(flat.contains("`conv1.W`: expected shape [16, 1, 144], the file has [144]"), "{flat}");
    let nan =
        broken(&|weights| drop(weights.insert("conv1.bias".into(), Tensor::new([16], vec![f32::NAN; 16]).unwrap())));
    assert!(nan.contains("tensor `conv1.bias`: value 0 is NaN"), "{nan}");

    let wrong = state_dict("doconv.pth").into_model("resnet18").unwrap_err();
    let Error::Architecture { fitting, .. } = &wrong else { panic!("{wrong}") };
    assert_eq!(fitting, &["mnist_sample"]);
    let text = wrong.to_string();
    assert!(text.starts_with("doconv.pth: no weights of resnet18: tensor `conv1.W`: expected shape"), "{text}");
    assert!(text.ends_with("; they fit mnist_sample"), "{text}");
    assert!(state_dict("doconv.pth").into_model("alexnet").unwrap_err().to_string().contains("there is: plain18"));
}

/// Two thousand damaged files: an error or a network, never a panic.
#[test]
fn damaged_files_do_no_harm() {
    let mut random = oorandom::Rand64::new(5);
    let mut read = 0;
    for file in ["half.pth", "legacy.pth", "keras.npz", "gluon.npz"] {
        let whole = bytes(file);
        // Numbers make up most of a file; its structure lies at both ends and between them.
        for case in 0..500 {
            let mut damaged = whole.clone();
            for _ in 0..1 + case % 3 {
                let at = random.rand_range(0..damaged.len() as u64) as usize;
                let at = if case % 2 == 0 { at } else { at % 1500 };
                damaged[at] ^= 1 << random.rand_range(0..8);
            }
            if case % 10 == 0 {
                damaged.truncate(random.rand_range(0..whole.len() as u64) as usize);
            }
            read +=
                usize::from(StateDict::from_bytes("d", &damaged).and_then(|w| w.into_model("mnist_sample")).is_ok());
        }
    }
    assert!((100..1900).contains(&read), "{read} of 2000 were read: the damage is too large or too small");
}
