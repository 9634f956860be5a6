//! NaN and infinities: every runner treats them as the reference does, whose rules are those of ONNX. A maximum with NaN is
//! NaN, activations keep NaN, and a softmax of NaN or infinity is NaN.

mod common;

use common::adapters::adapters;
use common::graph::Graph;
use common::plan_interpreter::PlanInterpreter;
use common::problem::Problem;
use common::runners::SessionRunner;
use common::suite::Runner;
use doconv::network::{Activation, Conv2d, FORMAT_VERSION, Filter, Input, MaxPool, Network, Node, Op, Preprocess};
use doconv::{Adapter, Error, Image, Mode, Model, Precision, Session, Tensor, reference};
use pollster::block_on;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// Every adapter, in every precision that it has.
fn everywhere() -> Vec<(String, Adapter)> {
    let of = |(name, adapter): (String, Adapter)| {
        Precision::ALL.into_iter().filter_map(move |precision| {
            let adapter = adapter.clone().with_precision(precision).ok()?;
            Some((format!("{name} in {}", precision.name()), adapter))
        })
    };
    adapters().into_iter().flat_map(of).collect()
}

fn runners() -> Vec<Box<dyn Runner>> {
    let sessions = everywhere().into_iter().map(|(name, adapter)| SessionRunner::new(name, adapter));
    let sessions = sessions.map(|session| Box::new(session) as Box<dyn Runner>);
    std::iter::once(Box::new(PlanInterpreter) as Box<dyn Runner>).chain(sessions).collect()
}

/// Whether two numbers are both NaN, the same infinity, or close, as far as the precision has them.
fn alike(got: f32, want: f32, precision: Precision) -> bool {
    let want = if precision == Precision::F32 { want } else { half::f16::from_f32(want).to_f32() };
    let is_close = (got - want).abs() <= 4e-3 * want.abs() + 2e-4;
    (got.is_nan() && want.is_nan()) || got == want || (got.is_finite() && want.is_finite() && is_close)
}

/// Checks a network of one operator on a map `[1, channels, height, width]`.
fn check(op: &Op, shape: [usize; 3], values: &[f32]) {
    let mut graph = Graph::new(shape);
    let value = graph.add(op.clone(), &["input"]);
    check_network(&graph.finish(&[&value]), &[values]);
}

fn check_network(network: &Network, inputs: &[&[f32]]) {
    let model = Problem::new(network.clone(), 1, 1).model();
    let tensors: Vec<Tensor> = network
        .inputs
        .iter()
        .zip(inputs)
        .map(|(input, values)| {
            let [c, h, w] = input.shape;
            Tensor::new([1, c, h, w], values.to_vec()).unwrap()
        })
        .collect();
    let want = reference::run(&model, &tensors).unwrap();
    let want: Vec<f32> = want[0].data.iter().map(|&value| value as f32).collect();
    let is_half_enough = inputs.iter().flat_map(|values| *values).all(|value| !value.is_finite() || value.abs() < 6e4);
    for mut runner in runners().into_iter().filter(|runner| is_half_enough || runner.precision() == Precision::F32) {
        let got = runner.run(&model, Mode::Folded, &tensors).unwrap().swap_remove(0);
        assert!(
            got.data().iter().zip(&want).all(|(&got, &want)| alike(got, want, runner.precision())),
            "{}: {:?} of {inputs:?}\nis   {:?}\nwants {want:?}",
            runner.name(),
            network.nodes.iter().map(|node| &node.op).collect::<Vec<_>>(),
            got.data()
        );
    }
}

/// Numbers on both sides of all corners, NaN and infinities, with either sign bit.
fn telling() -> Vec<f32> {
    let minus_nan = f32::from_bits(NAN.to_bits() | 1 << 31);
    vec![NAN, -INF, INF, minus_nan, 0.0, -4.0, 4.0, 1.0, -1.0, 100.0, -100.0, 1e3, -1e3]
}

#[test]
fn maxima_keep_nan_and_infinities() {
    let pool = |kernel, padding, dilation| {
        Op::MaxPool(MaxPool { kernel, stride: [1, 1], padding, dilation, ceil_mode: false })
    };
    // Rows: NaN at the beginning, in the middle and at the end of windows, with either infinity and without; −∞ alone; and
    // numbers below anything that is not −∞.
    let rows: [&[f32]; 8] = [
        &[NAN, 1.0, 2.0, 3.0, 4.0, 5.0],
        &[1.0, 2.0, NAN, 3.0, 4.0, 5.0],
        &[1.0, INF, 3.0, 4.0, 5.0, NAN],
        &[NAN, INF, NAN, -INF, 1.0, 2.0],
        &[-INF; 6],
        &[-INF, -INF, 1.0, -INF, -INF, -INF],
        &[-6e4, -INF, -6e4, -6e4, -6e4, -6e4],
        &[f32::from_bits(0xffc0_0000), -1.0, -2.0, -3.0, -4.0, -5.0],
    ];
    let map: Vec<f32> = rows.concat();
    for channels in [1, 2, 4] {
        let shape = [channels, 8 / channels, 6];
        check(&pool([1, 2], [0; 4], [1, 1]), shape, &map);
        check(&pool([1, 3], [0, 1, 0, 1], [1, 1]), shape, &map);
        check(&pool([2, 2], [1; 4], [1, 2]), shape, &map);
        check(&Op::GlobalMaxPool, shape, &map);
        check(&Op::GlobalAvgPool, shape, &map);
    }
    for row in rows {
        check(&Op::GlobalMaxPool, [1, 1, 6], row);
        check(&Op::GlobalMaxPool, [6, 1, 1], row);
    }
}

#[test]
fn activations_keep_nan() {
    let values = telling();
    let crossed = Activation::Clip { min: Some(2.0), max: Some(-3.0) };
    let half = [Activation::Clip { min: None, max: Some(1.0) }, Activation::Clip { min: Some(1.0), max: None }];
    for activation in Activation::ALL.into_iter().chain([crossed]).chain(half) {
        check(&Op::Activation(activation), [1, 1, values.len()], &values);
        check(&Op::Activation(activation), [1, 1, 4], &[1e38, -1e38, 1e30, -1e30]);
        // Behind an operator that it is fused into.
        let mut graph = Graph::new([1, 1, values.len()]);
        let value = graph.add(Op::Add, &["input", "input"]);
        let value = graph.add(Op::Activation(activation), &[&value]);
        check_network(&graph.finish(&[&value]), &[&values]);
        // Behind convolutions of every kind that the CPU path has: dense, depthwise, and grouped with one output each.
        for (groups, outputs) in [(1, 3), (4, 4), (2, 2)] {
            let map: Vec<f32> =
                (0..4 * values.len()).map(|at| values[(at + at / values.len()) % values.len()]).collect();
            let mut graph = Graph::new([4, 1, values.len()]);
            let conv = Conv2d { groups, bias: true, ..Conv2d::new(4, outputs, [1, 1]) };
            let value = graph.add(Op::Conv2d(conv), &["input"]);
            let value = graph.add(Op::Activation(activation), &[&value]);
            check_network(&graph.finish(&[&value]), &[&map]);
        }
    }
}

#[test]
fn slopes_of_negative_numbers_keep_nan() {
    let values = telling();
    let length = values.len();
    let pairs = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b)));
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.unzip();
    let mut graph = Graph::new([length, 1, length]);
    let slopes = graph.input("slopes", [length, 1, length]);
    let value = graph.add(Op::Prelu, &["input", &slopes]);
    check_network(&graph.finish(&[&value]), &[&a, &b]);
}

#[test]
fn softmax_of_what_is_no_number_is_none() {
    let rows: [[f32; 5]; 8] = [
        [1.0, 2.0, NAN, 3.0, 4.0],
        [NAN, 2.0, 1.0, 3.0, 4.0],
        [1.0, 2.0, INF, 3.0, 4.0],
        [INF, INF, 1.0, 0.0, NAN],
        [-INF; 5],
        [-INF, 2.0, -INF, 3.0, -INF],
        [-INF, -INF, -6e4, -INF, -INF],
        [1.0, 2.0, 3.0, 4.0, 6e4],
    ];
    for op in [Op::Softmax, Op::LogSoftmax] {
        for row in &rows {
            check(&op, [5, 1, 1], row);
        }
        // Each row is a pixel.
        let map: Vec<f32> = (0..5).flat_map(|channel| rows.iter().map(move |row| row[channel])).collect();
        check(&op, [5, 2, 4], &map);
    }
}

/// A classifier whose values for a black image are these, and 0 for a white one.
///
/// Weights have to be finite, so infinity is a square of squares, and NaN a difference of infinities.
fn classifier(of_black: [f32; 3], softmax: bool) -> Model {
    let node = |name: &str, inputs: &[&str], op| Node {
        name: name.into(),
        inputs: inputs.iter().map(|&input| input.into()).collect(),
        op,
    };
    let constant = |name: &str| node(name, &[], Op::Constant([1, 3, 1, 1]));
    let mut nodes: Vec<Node> = ["one", "base", "plus", "minus", "finite"].map(constant).into();
    nodes.push(node("black", &["one", "image"], Op::Sub));
    nodes.push(node("square0", &["black", "base"], Op::Mul));
    for at in 0..4 {
        let square = format!("square{at}");
        nodes.push(node(&format!("square{}", at + 1), &[&square, &square], Op::Mul));
    }
    nodes.push(node("left", &["square4", "plus"], Op::Mul));
    nodes.push(node("right", &["square4", "minus"], Op::Mul));
    nodes.push(node("sum", &["left", "right"], Op::Add));
    nodes.push(node("numbers", &["black", "finite"], Op::Mul));
    nodes.push(node("all", &["sum", "numbers"], Op::Add));
    nodes.push(node("logits", &["all"], Op::Flatten));
    if softmax {
        nodes.push(node("probabilities", &["logits"], Op::Softmax));
    }
    let sign = |value: f32| if value < 0.0 { -1.0 } else { 1.0 };
    let weights = [
        ("one", [1.0; 3]),
        ("base", of_black.map(|value| if value.is_finite() { 0.0 } else { 6e4 })),
        ("plus", of_black.map(sign)),
        ("minus", of_black.map(|value| if value.is_nan() { -1.0 } else { sign(value) })),
        ("finite", of_black.map(|value| if value.is_finite() { value } else { 0.0 })),
    ];
    let weights =
        weights.map(|(name, values)| (format!("{name}.value"), Tensor::new([1, 3, 1, 1], values.to_vec()).unwrap()));
    let network = Network {
        version: FORMAT_VERSION,
        name: "overflows".into(),
        inputs: vec![Input::new("image", [3, 1, 1])],
        outputs: vec![nodes.last().unwrap().name.clone()],
        nodes,
        preprocess: Some(Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [0.0; 3], std: [255.0; 3] }),
        labels: vec![],
    };
    Model::new(network, weights.into()).unwrap()
}

#[test]
fn a_classifier_without_an_answer_says_so() {
    let [black, white] = [0, 255].map(|level| Image::from_rgb(2, 2, vec![level; 12]).unwrap());
    let cases = [
        ([1.0, NAN, 2.0], "NaN"),
        ([NAN, NAN, NAN], "NaN"),
        ([1.0, INF, 2.0], "inf"),
        ([INF, NAN, -INF], "NaN"),
        ([-INF, -INF, -INF], "-inf"),
    ];
    for (name, adapter) in everywhere() {
        for softmax in [false, true] {
            for (logits, value) in cases {
                // The network's own softmax makes NaN of every one.
                let value = if softmax { "NaN" } else { value };
                let mut session =
                    block_on(Session::load(&adapter, &classifier(logits, softmax), Mode::Folded)).unwrap();
                let error = block_on(session.classify(std::slice::from_ref(&black), 2)).unwrap_err();
                assert!(matches!(error, Error::NoBestClass { .. }), "{name}: {error}");
                let error = error.to_string();
                assert!(error.starts_with(&format!("the network gives {value} for the image")), "{name}: {error}");
                assert!(error.len() < 300 && !error.contains('\n'), "{error}");
                if session.precision() != Precision::F32 {
                    assert!(error.contains("use precision `f32`"), "{error}");
                }
                // Others of the batch have theirs.
                let images = [white.clone(), black.clone(), white.clone()];
                let each = block_on(session.classify_each(&images, 2)).unwrap();
                assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{name}");
                assert_eq!(each[0].as_ref().unwrap()[0].class, 0, "{name}: all are alike");
                let error = block_on(session.classify(&images, 2)).unwrap_err().to_string();
                assert!(error.contains("for image 2 of 3,"), "{name}: {error}");
            }
            // What only some classes are denied is an answer.
            let model = classifier([-INF, 1.0, 2.0], softmax);
            let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            let best = block_on(session.classify(std::slice::from_ref(&black), 3)).unwrap().swap_remove(0);
            assert_eq!(best.iter().map(|best| best.class).collect::<Vec<_>>(), [2, 1, 0], "{name}");
            assert_eq!(best[2].probability, 0.0, "{name}");
        }
    }
}
