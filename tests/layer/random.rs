//! Random layers with numbers to run them on.

use doconv::network::{Conv2d, DoConv, PaddingMode, Pairing};
use doconv::reference::{self, LayerGradients, Map};
use doconv::{Layer, Tensor, Weights};
use proptest::prelude::*;

/// A layer and the map it reads; all numbers come from `seed`.
#[derive(Clone, Debug)]
pub struct Case {
    pub conv: Conv2d,
    /// Batch, height, width.
    pub size: [usize; 3],
    pub seed: u64,
}

/// More products than this are not worth the reference's time.
const MOST_WORK: usize = 60_000;

fn connectivity() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        3 => (1usize..=9, 1usize..=18).prop_map(|(inputs, outputs)| (inputs, outputs, 1)),
        1 => (12usize..=20, 33usize..=40).prop_map(|(inputs, outputs)| (inputs, outputs, 1)),
        3 => (2usize..=3, 1usize..=5, 1usize..=5).prop_map(|(groups, cpg, q)| (groups * cpg, groups * q, groups)),
        1 => (2usize..=3, 1usize..=2, 1usize..=4)
            .prop_map(|(groups, cpg, q)| (groups * cpg * 4, groups * q * 4, groups)),
        2 => (2usize..=10, 1usize..=3).prop_map(|(inputs, multiplier)| (inputs, inputs * multiplier, inputs)),
    ]
}

/// Layers of all kinds: groups, strides, dilations, asymmetric padding of every mode, depth multipliers below, at and
/// above the number of taps, both pairings.
pub fn cases() -> impl Strategy<Value = Case> {
    let kernel = prop_oneof![2 => (2usize..=4).prop_map(|side| [side, side]), 2 => [1usize..=5, 1usize..=4]];
    let pair = |most: usize| prop_oneof![2 => Just([1, 1]), 2 => [1..=most, 1..=most]];
    let padding = prop_oneof![
        1 => Just([0; 4]),
        1 => (0usize..=2).prop_map(|side| [side; 4]),
        // Now and then more than the kernel reaches.
        2 => [0usize..=6, 0usize..=3, 0usize..=6, 0usize..=3],
    ];
    let mode = proptest::sample::select(PaddingMode::ALL.to_vec());
    let d_mul = prop_oneof![3 => Just(0isize), 1 => -3isize..0, 1 => 1isize..=10];
    let pairing = prop_oneof![Just(Pairing::Paper), Just(Pairing::Torch)];
    let shape = (connectivity(), kernel, pair(3), pair(3), padding, mode);
    let size = [1usize..=3, 1usize..=12, 1usize..=12];
    (shape, d_mul, pairing, any::<bool>(), size, any::<u64>()).prop_map(
        |((channels, kernel, stride, dilation, padding, padding_mode), more, pairing, bias, size, seed)| {
            let (inputs, outputs, groups) = channels;
            let taps = kernel[0] * kernel[1];
            let d_mul = if taps == 1 { 1 } else { taps.saturating_add_signed(more).max(1) };
            let doconv = Some(DoConv { d_mul, pairing });
            let conv = Conv2d {
                stride,
                dilation,
                padding,
                padding_mode,
                groups,
                bias,
                doconv,
                ..Conv2d::new(inputs, outputs, kernel)
            };
            fitted(conv, size, seed)
        },
    )
}

/// Makes the map large enough for the window and the padding, and small enough for the reference.
fn fitted(conv: Conv2d, [batch, height, width]: [usize; 3], seed: u64) -> Case {
    let least = [0, 1].map(|axis| {
        let reach = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
        let padding = conv.padding[axis].max(conv.padding[axis + 2]);
        let continued = match conv.padding_mode {
            PaddingMode::Reflect => padding + 1,
            PaddingMode::Circular => padding,
            PaddingMode::Zeros | PaddingMode::Replicate => 1,
        };
        reach.saturating_sub(conv.padding[axis] + conv.padding[axis + 2]).max(continued).max(1)
    });
    let mut size = [height.max(least[0]), width.max(least[1])];
    let per_pixel = conv.out_channels * conv.channels_per_group() * conv.taps();
    while (size[0] + 6) * (size[1] + 6) * per_pixel > MOST_WORK && size != least {
        size = [0, 1].map(|axis| (size[axis] - 1).max(least[axis]));
    }
    let batch = if (size[0] + 6) * (size[1] + 6) * per_pixel > MOST_WORK { 1 } else { batch };
    Case { conv, size: [batch, size[0], size[1]], seed }
}

/// A case with its numbers, which are exact in f32.
pub struct Numbers {
    pub input: Map,
    pub w: Vec<f64>,
    /// Nothing for 1×1 kernels.
    pub residual: Vec<f64>,
    pub bias: Vec<f64>,
    pub grad_output: Map,
}

impl Case {
    pub fn attributes(&self) -> DoConv {
        self.conv.doconv.expect("every case is a DO-Conv layer")
    }

    /// The same for 1×1 kernels, which have no D: the identity.
    pub fn effective_d(&self, residual: &[f64]) -> Vec<f64> {
        let (conv, s) = (&self.conv, self.attributes().d_mul);
        if conv.taps() == 1 {
            return vec![1.0; conv.in_channels];
        }
        reference::effective_d(conv, s, residual, None)
    }

    /// Whether every input channel meets one D only: the authors' pairing is the paper's for one group, and where every
    /// group has one output.
    pub fn has_feature_form(&self) -> bool {
        let Conv2d { groups, out_channels, .. } = self.conv;
        let mixes = self.attributes().pairing == Pairing::Torch && groups != 1 && groups != out_channels;
        self.conv.taps() == 1 || !mixes
    }

    pub fn numbers(&self) -> Numbers {
        let (conv, s) = (&self.conv, self.attributes().d_mul);
        let mut random = Random(self.seed);
        let mut draw = |count: usize, spread: f64| -> Vec<f64> {
            (0..count).map(|_| f64::from((spread * (2.0 * random.next() - 1.0)) as f32)).collect()
        };
        let cpg = conv.channels_per_group();
        let [n, h, w] = self.size;
        let input = Map { shape: [n, conv.in_channels, h, w], data: draw(n * conv.in_channels * h * w, 2.0) };
        let weights = draw(conv.out_channels * cpg * s, (3.0 / (cpg * conv.taps()) as f64).sqrt());
        let residual = draw(if conv.taps() == 1 { 0 } else { conv.in_channels * conv.taps() * s }, 0.5);
        let bias = draw(conv.out_channels, 1.0);
        let zeros = vec![0.0; conv.out_channels * cpg * conv.taps()];
        let mut grad_output = reference::conv2d(conv, &input, &zeros, None);
        grad_output.data = draw(grad_output.data.len(), 1.0);
        Numbers { input, w: weights, residual, bias, grad_output }
    }

    pub fn layer(&self, numbers: &Numbers) -> Layer {
        let (conv, s) = (&self.conv, self.attributes().d_mul);
        let mut parameters = Weights::new();
        let mut put = |name: &str, shape: Vec<usize>, values: &[f64]| {
            parameters.insert(name.into(), narrow(shape, values));
        };
        put("W", vec![conv.out_channels, conv.channels_per_group(), s], &numbers.w);
        if conv.taps() > 1 {
            put("D", vec![conv.in_channels, conv.taps(), s], &numbers.residual);
        }
        if conv.bias {
            put("bias", vec![conv.out_channels], &numbers.bias);
        }
        Layer::new(conv.clone(), parameters).unwrap()
    }
}

pub fn narrow(shape: impl Into<Vec<usize>>, values: &[f64]) -> Tensor {
    Tensor::new(shape, values.iter().map(|&value| value as f32).collect()).unwrap()
}

/// Everything a layer computes, by way of its folded kernel.
pub struct Results {
    pub folded: Vec<f64>,
    pub output: Map,
    pub gradients: LayerGradients,
}

impl Results {
    pub fn of(case: &Case, numbers: &Numbers) -> Self {
        let d = case.effective_d(&numbers.residual);
        Self::with(case, &numbers.input, &numbers.w, &d, &numbers.bias, &numbers.grad_output)
    }

    /// For every result, the sum of the absolute values of all products it is made of.
    pub fn magnitudes(case: &Case, numbers: &Numbers) -> Self {
        let absolute = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
        let (w, bias) = (absolute(&numbers.w), absolute(&numbers.bias));
        let d = absolute(&case.effective_d(&numbers.residual));
        Self::with(case, &numbers.input.map(f64::abs), &w, &d, &bias, &numbers.grad_output.map(f64::abs))
    }

    fn with(case: &Case, input: &Map, w: &[f64], d: &[f64], bias: &[f64], grad_output: &Map) -> Self {
        let (conv, DoConv { d_mul, pairing }) = (&case.conv, case.attributes());
        let folded = reference::fold(conv, d_mul, pairing, w, d);
        let output = reference::conv2d(conv, input, &folded, conv.bias.then_some(bias));
        let gradients = reference::kernel_composition_gradient(conv, d_mul, pairing, input, w, d, grad_output);
        Self { folded, output, gradients }
    }

    /// The results that a layer has, by name.
    pub fn named(&self, conv: &Conv2d) -> Vec<(&'static str, &[f64])> {
        let LayerGradients { input, w, d, bias } = &self.gradients;
        let mut named: Vec<(_, &[f64])> =
            vec![("folded", &self.folded), ("output", &self.output.data), ("grad_input", &input.data), ("grad_W", w)];
        if conv.taps() > 1 {
            named.push(("grad_D", d));
        }
        if conv.bias {
            named.push(("grad_bias", bias));
        }
        named
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// Uniform within 0…1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}
