//! Every step against plain loops in f64 over NCHW.

use super::Executor;
use crate::network::{Activation, Conv2d, Shape};
use crate::plan::{
    Binary, BinaryOp, ComposeGradient, Conv, Factor, Kernel, KernelId, KernelSource, Plan, Pool, PoolKind, Step, Value,
    ValueId, View,
};
use crate::{Error, Tensor};

/// Evenly distributed in [−1, 1), the same for every run.
pub(super) fn random(seed: usize, len: usize) -> Vec<f32> {
    let mut rng = oorandom::Rand32::new(seed as u64);
    (0..len).map(|_| rng.rand_float() * 2.0 - 1.0).collect()
}

pub(super) fn value(name: &str, [c, h, w]: [usize; 3]) -> Value {
    Value { name: name.into(), shape: [1, c, h, w] }
}

/// A plan of one step, which reads all but the last of the values and writes the last.
pub(super) fn plan_of(values: Vec<Value>, kernels: Vec<Kernel>, steps: Vec<Step>) -> Plan {
    let last = values.len() - 1;
    Plan {
        inputs: (0..last).map(ValueId).collect(),
        outputs: vec![ValueId(last)],
        states: vec![],
        arenas: vec![],
        values,
        kernels,
        constants: vec![],
        steps,
    }
}

fn run(plan: &Plan, batch: usize, inputs: &[Vec<f32>]) -> Vec<f32> {
    let mut executor = Executor::new(plan).unwrap();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    // Another batch size in between, so that what buffers hold from before would show.
    let first = executor.run(batch, &inputs).unwrap();
    let doubled: Vec<Vec<f32>> = inputs.iter().map(|input| input.repeat(2)).collect();
    executor.run(2 * batch, &doubled.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let again = executor.run(batch, &inputs).unwrap();
    assert_eq!(first, again, "a run depends on the one before");
    again.into_iter().next().unwrap()
}

pub(super) fn random_inputs(plan: &Plan, batch: usize) -> Vec<Vec<f32>> {
    let shapes = plan.inputs.iter().map(|&id| plan.value(id).batched(batch));
    shapes.enumerate().map(|(index, shape)| random(index + 7, shape.iter().product())).collect()
}

#[test]
fn a_narrowed_convolution_is_what_the_whole_one_is_without_its_other_channels() {
    let whole_conv = Conv2d { padding: [1; 4], ..Conv2d::new(160, 136, [3, 3]) };
    let kernel = Kernel {
        name: "conv".into(),
        conv: whole_conv.clone(),
        source: KernelSource::Plain(std::sync::Arc::new(random(1, 160 * 136 * 9))),
        bias: random(2, 136),
    };
    let step = Step::Conv(Conv {
        name: "conv".into(),
        conv: whole_conv,
        kernel: KernelId(0),
        input: ValueId(0),
        residual: Some(ValueId(1)),
        activation: Some(Activation::Relu),
        output: ValueId(2),
    });
    let values = vec![value("input", [160, 5, 4]), value("residual", [136, 5, 4]), value("output", [136, 5, 4])];
    let whole = plan_of(values, vec![kernel], vec![step]);
    let narrow = whole.narrowed(2).unwrap();
    assert_eq!(narrow.values.iter().map(|value| value.shape[1]).collect::<Vec<_>>(), [80, 68, 68]);
    let inputs = random_inputs(&narrow, 1);
    let padded = [160, 136].iter().zip(&inputs).map(|(channels, input)| {
        let mut padded = input.clone();
        padded.resize(channels * 20, 0.0);
        padded
    });
    let expected = run(&whole, 1, &padded.collect::<Vec<_>>());
    let largest = expected.iter().copied().fold(0.0, f32::max);
    for (got, want) in run(&narrow, 1, &inputs).into_iter().zip(expected) {
        assert!((got - want).abs() < 1e-5 * largest, "{got} instead of {want}");
    }
    assert!(whole.narrowed(1).is_none(), "nothing is left out");
}

#[derive(Debug)]
struct Mismatch(#[allow(dead_code)] String);

fn compare(actual: &[f32], expected: &[f64], tolerance: f64) -> Result<(), Mismatch> {
    if actual.len() != expected.len() {
        return Err(Mismatch(format!("{} values, expected {}", actual.len(), expected.len())));
    }
    for (at, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(actual) - expected).abs();
        if difference.is_nan() || difference > tolerance * (1.0 + expected.abs()) {
            return Err(Mismatch(format!("value {at} is {actual}, expected {expected}")));
        }
    }
    Ok(())
}

fn reference_activation(activation: Activation, x: f64) -> f64 {
    crate::reference::activation(activation, &crate::reference::Map { shape: [1; 4], data: vec![x] }).data[0]
}

/// Every (output pixel, tap inside the input): calls `visit(n, y, x, tap, iy, ix)`.
fn windows(
    [batch, height, width]: [usize; 3],
    [out_height, out_width]: [usize; 2],
    (kernel, stride, padding, dilation): ([usize; 2], [usize; 2], [usize; 4], [usize; 2]),
    mut visit: impl FnMut(usize, usize, usize, usize, usize, usize),
) {
    for n in 0..batch {
        for y in 0..out_height {
            for x in 0..out_width {
                for tap in 0..kernel[0] * kernel[1] {
                    let (ky, kx) = (tap / kernel[1], tap % kernel[1]);
                    let iy = (y * stride[0] + ky * dilation[0]).wrapping_sub(padding[0]);
                    let ix = (x * stride[1] + kx * dilation[1]).wrapping_sub(padding[1]);
                    if iy < height && ix < width {
                        visit(n, y, x, tap, iy, ix);
                    }
                }
            }
        }
    }
}

fn out_size(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> usize {
    (size + padding - dilation * (kernel - 1) - 1) / stride + 1
}

struct Case {
    conv: Conv2d,
    size: [usize; 2],
    batch: usize,
    residual: bool,
    activation: Option<Activation>,
}

impl Case {
    fn new(conv: Conv2d, size: [usize; 2], batch: usize) -> Self {
        Self { conv, size, batch, residual: false, activation: None }
    }

    fn output(&self) -> [usize; 3] {
        let Conv2d { kernel, stride, padding, dilation, .. } = self.conv;
        let size = |axis: usize| {
            let padding = padding[axis] + padding[axis + 2];
            out_size(self.size[axis], kernel[axis], stride[axis], padding, dilation[axis])
        };
        [self.conv.out_channels, size(0), size(1)]
    }

    fn plan(&self, source: KernelSource, bias: Vec<f32>) -> Plan {
        let mut values = vec![value("input", [self.conv.in_channels, self.size[0], self.size[1]])];
        if self.residual {
            values.push(value("residual", self.output()));
        }
        values.push(value("output", self.output()));
        let step = Step::Conv(Conv {
            name: "conv".into(),
            conv: self.conv.clone(),
            kernel: KernelId(0),
            input: ValueId(0),
            residual: self.residual.then_some(ValueId(1)),
            activation: self.activation,
            output: ValueId(values.len() - 1),
        });
        let kernel = Kernel { name: "conv".into(), conv: self.conv.clone(), source, bias };
        plan_of(values, vec![kernel], vec![step])
    }

    fn reference(&self, kernel: &[f32], bias: &[f32], inputs: &[Vec<f32>]) -> Vec<f64> {
        let conv = &self.conv;
        let [outputs, height, width] = self.output();
        let (cpg, opg, taps) = (conv.channels_per_group(), conv.outputs_per_group(), conv.taps());
        let mut result = vec![0.0; self.batch * outputs * height * width];
        let at = |n: usize, o: usize, y: usize, x: usize| ((n * outputs + o) * height + y) * width + x;
        let image = [self.batch, self.size[0], self.size[1]];
        let slide = (conv.kernel, conv.stride, conv.padding, conv.dilation);
        windows(image, [height, width], slide, |n, y, x, tap, iy, ix| {
            for o in 0..outputs {
                for j in 0..cpg {
                    let channel = o / opg * cpg + j;
                    let input = ((n * conv.in_channels + channel) * self.size[0] + iy) * self.size[1] + ix;
                    let weight = kernel[(o * cpg + j) * taps + tap];
                    result[at(n, o, y, x)] += f64::from(weight) * f64::from(inputs[0][input]);
                }
            }
        });
        for (index, result) in result.iter_mut().enumerate() {
            *result += f64::from(bias[index / (height * width) % outputs]);
            if self.residual {
                *result += f64::from(inputs[1][index]);
            }
            if let Some(activation) = self.activation {
                *result = reference_activation(activation, *result);
            }
        }
        result
    }

    fn check(&self) {
        let kernel = random(1, self.conv.kernel_shape().iter().product());
        let bias = random(2, self.conv.out_channels);
        let plan = self.plan(KernelSource::Plain(std::sync::Arc::new(kernel.clone())), bias.clone());
        let inputs = random_inputs(&plan, self.batch);
        let expected = self.reference(&kernel, &bias, &inputs);
        let actual = run(&plan, self.batch, &inputs);
        compare(&actual, &expected, 2e-5)
            .unwrap_or_else(|error| panic!("{:?} on {:?}: {error:?}", self.conv, self.size));
        // The comparison must be able to fail.
        let mut wrong = expected;
        let last = wrong.len() - 1;
        wrong[last] += 1e-3;
        compare(&actual, &wrong, 2e-5).unwrap_err();
    }
}

#[test]
fn dense_convolutions_of_odd_shapes() {
    let mut seed = 0;
    for (inputs, outputs) in [(1, 1), (3, 8), (4, 17), (7, 33), (16, 16), (33, 5), (24, 40)] {
        for (kernel, stride, padding, dilation) in [
            ([1, 1], [1, 1], [0; 4], [1, 1]),
            ([1, 1], [2, 3], [0, 1, 0, 2], [1, 1]),
            ([3, 3], [1, 1], [1; 4], [1, 1]),
            ([3, 3], [2, 2], [0, 0, 1, 1], [1, 1]),
            ([2, 5], [3, 1], [1, 4, 0, 2], [2, 1]),
            ([3, 2], [1, 2], [4, 0, 4, 3], [3, 4]),
        ] {
            seed += 1;
            let conv = Conv2d { stride, padding, dilation, ..Conv2d::new(inputs, outputs, kernel) };
            Case::new(conv, [7 + seed % 3, 9 + seed % 5], 1 + seed % 3).check();
        }
    }
}

#[test]
fn grouped_convolutions() {
    // Ordinary groups, channel multipliers, and one output of several inputs as feature composition has them.
    for (groups, per_group, outputs_per_group) in
        [(2, 3, 5), (3, 8, 8), (2, 16, 33), (5, 1, 9), (9, 1, 4), (33, 1, 2), (4, 9, 1), (33, 4, 1), (2, 1, 25)]
    {
        for (kernel, stride) in [([1, 1], [1, 1]), ([3, 3], [1, 2])] {
            let inputs = groups * per_group;
            let padding = [kernel[0] / 2; 4];
            let conv = Conv2d { stride, padding, groups, ..Conv2d::new(inputs, groups * outputs_per_group, kernel) };
            Case::new(conv, [6, 8], 2).check();
        }
    }
}

#[test]
fn depthwise_convolutions_of_all_widths() {
    let mut seed = 0;
    for channels in [1, 3, 4, 5, 8, 9, 15, 16, 17, 24, 33] {
        for width in [1, 5, 6, 7, 8, 13, 14, 20] {
            for (kernel, stride, padding, dilation) in [
                ([3, 3], [1, 1], [1; 4], [1, 1]),
                ([3, 3], [2, 2], [0, 0, 1, 1], [1, 1]),
                ([3, 3], [1, 1], [2; 4], [2, 2]),
                ([3, 3], [3, 3], [1; 4], [1, 1]),
                ([5, 5], [1, 1], [2; 4], [1, 1]),
                ([5, 5], [2, 2], [1, 1, 2, 2], [1, 1]),
                ([2, 5], [1, 2], [0, 6, 3, 5], [1, 1]),
                ([7, 7], [1, 1], [3; 4], [1, 1]),
                ([1, 1], [1, 1], [0; 4], [1, 1]),
                ([1, 4], [1, 1], [0, 4, 0, 4], [1, 3]),
            ] {
                if width + padding[1] + padding[3] <= dilation[1] * (kernel[1] - 1) {
                    continue;
                }
                seed += 1;
                let conv =
                    Conv2d { stride, padding, dilation, groups: channels, ..Conv2d::new(channels, channels, kernel) };
                Case::new(conv, [5 + seed % 4, width], 1 + seed % 2).check();
            }
        }
    }
}

#[test]
fn residual_and_activation_come_after_the_bias() {
    let activations = Activation::ALL.map(Some).into_iter().chain([None]);
    for activation in activations {
        for residual in [false, true] {
            for conv in [
                Conv2d::new(5, 37, [1, 1]),
                Conv2d { groups: 21, padding: [1; 4], ..Conv2d::new(21, 21, [3, 3]) },
                Conv2d { groups: 3, ..Conv2d::new(3, 3, [2, 2]) },
                Conv2d { groups: 7, ..Conv2d::new(28, 7, [1, 1]) },
            ] {
                Case { residual, activation, ..Case::new(conv, [5, 9], 2) }.check();
            }
        }
    }
}

/// A fully connected layer: a kernel as large as the map.
#[test]
fn kernels_as_large_as_the_map() {
    Case::new(Conv2d::new(65, 70, [1, 1]), [1, 1], 1).check();
    Case::new(Conv2d::new(12, 70, [3, 4]), [3, 4], 3).check();
}

#[test]
fn many_pixels_are_split_over_tasks() {
    Case::new(Conv2d { padding: [1; 4], ..Conv2d::new(3, 20, [3, 3]) }, [61, 67], 2).check();
    Case::new(Conv2d { padding: [1; 4], groups: 19, ..Conv2d::new(19, 19, [3, 3]) }, [61, 67], 1).check();
}

#[test]
fn composed_kernels_are_folded_once_or_every_run() {
    use crate::doconv::{Composed, fold};
    use crate::network::{DoConv, Pairing};
    for groups in [1, 16] {
        let conv = Conv2d { padding: [1; 4], groups, ..Conv2d::new(16, 16, [3, 3]) };
        let cpg = conv.channels_per_group();
        let composed = Composed {
            w: Tensor::new([16, cpg, 9], random(3, 16 * cpg * 9)).unwrap(),
            d: Tensor::new([16, 9, 9], random(4, 16 * 81)).unwrap(),
            attributes: DoConv { d_mul: 9, pairing: Pairing::Paper },
        };
        let kernel = fold(&conv, &composed).unwrap();
        let case = Case::new(conv, [5, 9], 2);
        let bias = random(2, 16);
        let mut plan = case.plan(KernelSource::Composed(composed), bias.clone());
        let inputs = random_inputs(&plan, 2);
        let expected = case.reference(kernel.data(), &bias, &inputs);
        compare(&run(&plan, 2, &inputs), &expected, 1e-4).unwrap();
        plan.steps.insert(0, Step::Compose(KernelId(0)));
        compare(&run(&plan, 2, &inputs), &expected, 1e-4).unwrap();
    }
}

#[test]
fn activations_alone() {
    for activation in Activation::ALL {
        let values = vec![value("input", [37, 23, 29]), value("output", [37, 23, 29])];
        let step = Step::Activation { activation, input: ValueId(0), output: ValueId(1) };
        let plan = plan_of(values, vec![], vec![step]);
        let mut inputs = random_inputs(&plan, 1);
        inputs[0].iter_mut().for_each(|x| *x *= 12.0);
        inputs[0][..6].copy_from_slice(&[-1000.0, 1000.0, 0.0, -0.0, 6.0, -3.0]);
        let expected: Vec<f64> = inputs[0].iter().map(|&x| reference_activation(activation, x.into())).collect();
        compare(&run(&plan, 1, &inputs), &expected, 1e-6).unwrap();
    }
}

#[test]
fn large_batches_are_run_in_parts() {
    let values = vec![value("input", [2, 500, 601]), value("output", [2, 500, 601])];
    let step = Step::Activation { activation: Activation::Relu, input: ValueId(0), output: ValueId(1) };
    let plan = plan_of(values, vec![], vec![step]);
    assert_eq!(Executor::new(&plan).unwrap().images_at_a_time(), 1);
    let inputs = random_inputs(&plan, 3);
    let expected: Vec<f32> = inputs[0].iter().map(|x| x.max(0.0)).collect();
    assert_eq!(run(&plan, 3, &inputs), expected);
}

#[test]
fn pools_with_windows_beyond_the_edge() {
    for kind in [PoolKind::Max, PoolKind::Mean { count_include_pad: false }, PoolKind::Mean { count_include_pad: true }]
    {
        // The last: ceil_mode's window that reaches beyond the padding.
        for (kernel, stride, padding, dilation, output) in [
            ([2, 2], [2, 2], [0; 4], [1, 1], [3, 4]),
            ([3, 3], [2, 2], [1; 4], [1, 1], [4, 5]),
            ([3, 2], [1, 3], [1, 0, 2, 1], [1, 1], [8, 3]),
            ([3, 3], [2, 2], [0; 4], [1, 1], [3, 4]),
            ([3, 3], [3, 3], [1; 4], [1, 1], [3, 4]),
        ] {
            check_pool(kind, kernel, stride, padding, dilation, output);
        }
    }
    check_pool(PoolKind::Max, [3, 2], [2, 1], [2, 1, 1, 1], [2, 3], [3, 8]);
}

fn check_pool(
    kind: PoolKind,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
    output: [usize; 2],
) {
    let (batch, channels, size) = (2, 11, [7, 9]);
    let values = vec![value("input", [channels, size[0], size[1]]), value("output", [channels, output[0], output[1]])];
    let (from, to) = (ValueId(0), ValueId(1));
    let step = Step::Pool(Pool { kind, kernel, stride, padding, dilation, input: from, output: to });
    let plan = plan_of(values, vec![], vec![step]);
    let inputs = random_inputs(&plan, batch);
    let area = output[0] * output[1];
    let empty = if kind == PoolKind::Max { f64::NEG_INFINITY } else { 0.0 };
    let mut expected = vec![empty; batch * channels * area];
    let mut counts = vec![0; area];
    windows([batch, size[0], size[1]], output, (kernel, stride, padding, dilation), |n, y, x, _, iy, ix| {
        counts[y * output[1] + x] += usize::from(n == 0);
        for c in 0..channels {
            let input = f64::from(inputs[0][((n * channels + c) * size[0] + iy) * size[1] + ix]);
            let result = &mut expected[(n * channels + c) * area + y * output[1] + x];
            *result = if kind == PoolKind::Max { result.max(input) } else { *result + input };
        }
    });
    if let PoolKind::Mean { count_include_pad } = kind {
        for (index, expected) in expected.iter_mut().enumerate() {
            let (y, x) = (index % area / output[1], index % output[1]);
            let padded = |axis: usize, at: usize| {
                let start = (at * stride[axis]) as isize - padding[axis] as isize;
                (start + kernel[axis] as isize).min((size[axis] + padding[axis + 2]) as isize) - start
            };
            let count = if count_include_pad { (padded(0, y) * padded(1, x)) as usize } else { counts[index % area] };
            *expected /= count as f64;
        }
    }
    compare(&run(&plan, batch, &inputs), &expected, 1e-6).unwrap();
}

#[test]
fn global_pools() {
    for channels in [3, 129, 300] {
        for kind in [PoolKind::Max, PoolKind::Mean { count_include_pad: false }] {
            let values = vec![value("input", [channels, 5, 7]), value("output", [channels, 1, 1])];
            let step = Step::GlobalPool { kind, input: ValueId(0), output: ValueId(1) };
            let plan = plan_of(values, vec![], vec![step]);
            let inputs = random_inputs(&plan, 3);
            let expected: Vec<f64> = inputs[0]
                .chunks(35)
                .map(|map| {
                    let map = map.iter().map(|&x| f64::from(x));
                    if kind == PoolKind::Max { map.fold(f64::NEG_INFINITY, f64::max) } else { map.sum::<f64>() / 35.0 }
                })
                .collect();
            compare(&run(&plan, 3, &inputs), &expected, 1e-6).unwrap();
        }
    }
}

#[test]
fn sums_and_products_repeat_a_single_pixel() {
    for op in [BinaryOp::Add, BinaryOp::Mul] {
        for (activation, size) in [(None, [1, 1]), (Some(Activation::Silu), [47, 53]), (None, [47, 53])] {
            let shape = [13, 47, 53];
            let values = vec![value("a", shape), value("b", [13, size[0], size[1]]), value("output", shape)];
            let step = Binary { op, a: ValueId(0), b: ValueId(1), activation, output: ValueId(2) };
            let plan = plan_of(values, vec![], vec![Step::Binary(step)]);
            let inputs = random_inputs(&plan, 2);
            let repeat = inputs[0].len() / inputs[1].len();
            let pairs = inputs[0].iter().enumerate().map(|(i, &a)| (f64::from(a), f64::from(inputs[1][i / repeat])));
            let expected: Vec<f64> = pairs
                .map(|(a, b)| if op == BinaryOp::Add { a + b } else { a * b })
                .map(|x| activation.map_or(x, |activation| reference_activation(activation, x)))
                .collect();
            compare(&run(&plan, 2, &inputs), &expected, 1e-6).unwrap();
        }
    }
}

#[test]
fn concat_keeps_images_apart() {
    let values =
        vec![value("a", [3, 30, 41]), value("b", [1, 30, 41]), value("c", [18, 30, 41]), value("output", [22, 30, 41])];
    let inputs = [0, 1, 2].map(ValueId).to_vec();
    let plan = plan_of(values, vec![], vec![Step::Concat { inputs, output: ValueId(3) }]);
    let inputs = random_inputs(&plan, 2);
    let mut expected = vec![];
    for n in 0..2 {
        for input in &inputs {
            let image = input.len() / 2;
            expected.extend(input[n * image..][..image].iter().map(|&x| f64::from(x)));
        }
    }
    compare(&run(&plan, 2, &inputs), &expected, 0.0).unwrap();
}

#[test]
fn flatten_gives_nchw_order() {
    let values = vec![value("input", [7, 5, 6]), value("output", [210, 1, 1])];
    let plan = plan_of(
        values,
        vec![],
        vec![Step::Rearrange { view: View::reshape([1, 210, 1, 1]), input: ValueId(0), output: ValueId(1) }],
    );
    let inputs = random_inputs(&plan, 3);
    assert_eq!(run(&plan, 3, &inputs), inputs[0]);
}

#[test]
fn softmax_of_large_logits() {
    let values = vec![value("input", [10, 3, 2]), value("output", [10, 3, 2])];
    let plan = plan_of(values, vec![], vec![Step::Softmax { logarithm: false, input: ValueId(0), output: ValueId(1) }]);
    let mut inputs = random_inputs(&plan, 2);
    inputs[0].iter_mut().for_each(|x| *x = *x * 5.0 + 1000.0);
    let mut expected = vec![0.0; 120];
    for n in 0..2 {
        for pixel in 0..6 {
            let at = |c: usize| (n * 10 + c) * 6 + pixel;
            let sum: f64 = (0..10).map(|c| (f64::from(inputs[0][at(c)]) - 1000.0).exp()).sum();
            (0..10).for_each(|c| expected[at(c)] = (f64::from(inputs[0][at(c)]) - 1000.0).exp() / sum);
        }
    }
    compare(&run(&plan, 2, &inputs), &expected, 1e-6).unwrap();
}

#[test]
fn a_step_that_fails_leaves_its_buffers() {
    let conv = Conv2d::new(1, 1, [1, 2]);
    let source = KernelSource::Plain(std::sync::Arc::new(vec![1.0; 2]));
    let kernel = Kernel { name: "plain".into(), conv, source, bias: vec![0.0] };
    // A plain kernel has no W of which there could be a gradient.
    let (kernel_id, factor) = (KernelId(0), Factor::W);
    let step = ComposeGradient { kernel: kernel_id, factor, grad_kernel: ValueId(0), output: ValueId(1) };
    let values = vec![value("gradient", [1, 1, 2]), value("gradient of W", [1, 1, 1])];
    let plan = plan_of(values, vec![kernel], vec![Step::ComposeGradient(step)]);
    let mut executor = Executor::new(&plan).unwrap();
    for _ in 0..2 {
        let error = executor.run(1, &[&[1.0, 2.0]]).unwrap_err().to_string();
        assert!(error.contains("a plain kernel has no W and D"), "{error}");
    }
}

#[test]
fn wrong_inputs_are_named() {
    let shape: Shape = [1, 2, 3, 4];
    let values = vec![value("photo", [2, 3, 4]), value("output", [24, 1, 1])];
    let plan = plan_of(
        values,
        vec![],
        vec![Step::Rearrange { view: View::reshape([1, 24, 1, 1]), input: ValueId(0), output: ValueId(1) }],
    );
    let mut executor = Executor::new(&plan).unwrap();
    let right = vec![0.0; shape.iter().product()];
    for (batch, inputs, named) in [
        (0, vec![&right[..0]], "batch"),
        (1, vec![], "inputs"),
        (1, vec![&right, &right], "inputs"),
        (1, vec![&right[1..]], "photo"),
        (2, vec![&right], "photo"),
    ] {
        let error = executor.run(batch, &inputs).unwrap_err();
        assert!(matches!(&error, Error::Input { input, .. } if input == named), "{error}");
    }
    executor.run(1, &[&right]).unwrap();
}
