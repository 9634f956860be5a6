//! What goes wrong on a GPU is a typed error, and a lost device can be opened again.

use doconv::network::{Activation, Conv2d, FORMAT_VERSION, Input, Linear, Node, Op};
use doconv::{Adapter, AdapterKind, Error, Mode, Model, Network, Selector, Session, Tensor, Weights};
use pollster::block_on;

/// A 1×1 convolution over a map of this size.
fn model(channels: usize, size: usize) -> Model {
    let network = Network {
        version: FORMAT_VERSION,
        name: "pointwise".into(),
        inputs: vec![Input::new("input", [channels, size, size])],
        nodes: vec![Node {
            name: "conv".into(),
            inputs: vec!["input".into()],
            op: Op::Conv2d(Conv2d::new(channels, channels, [1, 1])),
        }],
        outputs: vec!["conv".into()],
        preprocess: None,
        labels: vec![],
    };
    let kernel = Tensor::new([channels, channels, 1, 1], vec![0.5; channels * channels]).unwrap();
    Model::new(network, Weights::from([("conv.weight".into(), kernel)])).unwrap()
}

/// Every adapter but the CPU path, opened.
fn gpus() -> Vec<Adapter> {
    let list = block_on(Adapter::list());
    let gpus = list.iter().enumerate().filter(|(_, info)| info.kind != AdapterKind::Cpu);
    let gpus: Vec<_> =
        gpus.map(|(index, _)| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect();
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(!gpus.is_empty() || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    gpus
}

#[test]
fn a_lost_device_is_said_and_can_be_opened_again() {
    let (model, input) = (model(4, 3), [Tensor::zeros([1, 4, 3, 3])]);
    for (index, adapter) in gpus().into_iter().enumerate() {
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        block_on(session.run(&input)).unwrap();
        adapter.gpu().unwrap().destroy();
        for _ in 0..2 {
            let error = block_on(session.run(&input)).unwrap_err();
            assert!(matches!(error, Error::DeviceLost { .. }), "{}: {error}", adapter.info().name);
        }
        let error = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{}: {error}", adapter.info().name);

        let again = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let mut session = block_on(Session::load(&again, &model, Mode::Folded)).unwrap();
        assert_eq!(block_on(session.run(&input)).unwrap()[0].data(), [0.0; 36]);
    }
}

/// Embedders spawn these on thread pools.
#[test]
fn futures_can_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let mut session = block_on(assert_send(async {
        let adapter = Adapter::open(&Selector::Named("cpu".into())).await?;
        Session::load(&adapter, &model(4, 3), Mode::Folded).await
    }))
    .unwrap();
    block_on(assert_send(session.run(&[Tensor::zeros([1, 4, 3, 3])]))).unwrap();
}

#[test]
fn a_map_beyond_the_limits_is_named() {
    let model = model(4, 16384);
    for adapter in gpus() {
        let limit = adapter.info().limits["maxStorageBufferBindingSize"].min(adapter.info().limits["maxBufferSize"]);
        let needed = 4 * 4 * 16384 * 16384;
        if limit >= needed {
            println!("skipped: {} can bind {limit} bytes", adapter.info().name);
            continue;
        }
        let error = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Limit { .. }), "{}: {text}", adapter.info().name);
        assert!(text.contains("feature map `input`") && text.contains(&needed.to_string()), "{text}");
    }
}

#[test]
fn a_batch_beyond_the_limits_is_run_in_parts() {
    let (model, size) = (model(4, 1024), 4 * 1024 * 1024);
    for adapter in gpus() {
        let limit = adapter.info().limits["maxStorageBufferBindingSize"] as usize;
        let batch = limit / (4 * size) + 1;
        if batch > 32 {
            println!("skipped: {} can bind {limit} bytes", adapter.info().name);
            continue;
        }
        let input = (0..batch * size).map(|at| (at / size) as f32).collect();
        let input = Tensor::new([batch, 4, 1024, 1024], input).unwrap();
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let output = block_on(session.run(&[input])).unwrap().swap_remove(0);
        // Every output is half the sum of four equal channels.
        let wrong = output.data().iter().enumerate().find(|(at, value)| **value != 2.0 * (at / size) as f32);
        assert_eq!(wrong, None, "{}", adapter.info().name);
    }
}

/// A network that overflows must not look confident.
#[test]
fn what_is_no_finite_number_stays_visible() {
    let model = model(4, 1);
    for adapter in gpus().into_iter().chain([Adapter::cpu()]) {
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let mut first = |value: f32| {
            let input = Tensor::new([1, 4, 1, 1], vec![value; 4]).unwrap();
            block_on(session.run(&[input])).unwrap()[0].data()[0]
        };
        assert!(first(f32::NAN).is_nan(), "{}", adapter.info().name);
        assert_eq!(first(f32::MAX), f32::INFINITY, "{}", adapter.info().name);
        assert_eq!(first(1.0), 2.0, "{}", adapter.info().name);
    }
}

#[test]
fn sessions_refuse_inputs_that_do_not_fit() {
    let model = model(4, 3);
    let adapters = gpus().into_iter().chain([Adapter::cpu()]);
    for adapter in adapters {
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let cases: [(&[Tensor], &str); 3] = [
            (&[], "input `inputs`: the network has 1, 0 were given"),
            (&[Tensor::zeros([1, 3, 3, 3])], "input `input`: expected [N, 4, 3, 3] with N ≥ 1, got [1, 3, 3, 3]"),
            (&[Tensor::zeros([0, 4, 3, 3])], "input `input`: expected [N, 4, 3, 3] with N ≥ 1, got [0, 4, 3, 3]"),
        ];
        for (inputs, message) in cases {
            assert_eq!(block_on(session.run(inputs)).unwrap_err().to_string(), message);
        }
    }
}

/// More weights than every WebGPU device can bind at once, and more pixels than a grid has along one axis.
#[test]
fn large_layers_are_split() {
    let (inputs, outputs) = (8192, 4200);
    let node = |name: &str, input: &str, op: Op| Node { name: name.into(), inputs: vec![input.into()], op };
    let network = |shape, nodes: Vec<Node>| Network {
        outputs: vec![nodes.last().unwrap().name.clone()],
        inputs: vec![Input::new("input", shape)],
        nodes,
        ..model(1, 1).network().clone()
    };
    let linear = Linear { in_features: inputs, out_features: outputs, bias: true };
    let dense = network(
        [inputs, 1, 1],
        vec![node("fc", "input", Op::Linear(linear)), node("r", "fc", Op::Activation(Activation::Relu))],
    );
    // Every output has one weight of its own.
    let mut weight = vec![0.0; inputs * outputs];
    (0..outputs).for_each(|o| weight[o * inputs + o] = if o % 2 == 0 { 1.0 } else { -1.0 });
    let weights = Weights::from([
        ("fc.weight".into(), Tensor::new([outputs, inputs], weight).unwrap()),
        ("fc.bias".into(), Tensor::new([outputs], (0..outputs).map(|o| o as f32).collect()).unwrap()),
    ]);
    let dense = Model::new(dense, weights).unwrap();
    let input = Tensor::new([1, inputs, 1, 1], vec![3.0; inputs]).unwrap();
    let want: Vec<f32> = (0..outputs).map(|o| (o as f32 + if o % 2 == 0 { 3.0 } else { -3.0 }).max(0.0)).collect();

    let pixels = network([2, 300, 300], vec![node("s", "input", Op::Softmax)]);
    let pixels = Model::new(pixels, Weights::new()).unwrap();
    let map = Tensor::new([2, 2, 300, 300], (0..360_000).map(|i| (i % 7) as f32).collect()).unwrap();
    for adapter in gpus().into_iter().chain([Adapter::cpu()]) {
        let mut session = block_on(Session::load(&adapter, &dense, Mode::Folded)).unwrap();
        let got = block_on(session.run(std::slice::from_ref(&input))).unwrap();
        assert_eq!(got[0].data(), want, "{}", adapter.info().name);

        let mut session = block_on(Session::load(&adapter, &pixels, Mode::Folded)).unwrap();
        let got = block_on(session.run(std::slice::from_ref(&map))).unwrap();
        for at in [0, 65_535, 65_536, 89_999, 180_000, 269_999] {
            let (a, b) = (f64::from(map.data()[at]), f64::from(map.data()[at + 90_000]));
            let want = 1.0 / (1.0 + (b - a).exp());
            assert!((f64::from(got[0].data()[at]) - want).abs() < 1e-6, "{}, {at}", adapter.info().name);
        }
    }
}
