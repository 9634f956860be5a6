//! A network with a seed, from which weights and inputs follow.

use doconv::network::{Conv2d, Network, Op, Pairing};
use doconv::plan::Mode;
use doconv::{Model, Tensor, Weights};

/// One case: small enough to print, and to shrink; all numbers come from `seed`.
#[derive(Clone)]
pub struct Problem {
    /// Graph and attributes.
    pub network: Network,
    /// Makes weights and inputs.
    pub seed: u64,
    /// Images at once.
    pub batch: usize,
    /// Whether layers that are marked as DO-Conv hold W and D, rather than a folded kernel.
    pub composed: bool,
    /// Inputs are uniform within ± this.
    pub input_range: f32,
}

impl std::fmt::Debug for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { network, seed, batch, composed, input_range } = self;
        writeln!(f, "seed {seed}, batch {batch}, composed {composed}, inputs ±{input_range}")?;
        for input in &network.inputs {
            writeln!(f, "  {} {:?} × {}", input.name, input.shape, input.items)?;
        }
        for node in &network.nodes {
            writeln!(f, "  {} = {:?} of {:?}", node.name, node.op, node.inputs)?;
        }
        write!(f, "  outputs {:?}", network.outputs)
    }
}

impl Problem {
    /// The network, with default numbers.
    pub fn new(network: Network, seed: u64, batch: usize) -> Self {
        Self { network, seed, batch, composed: false, input_range: 2.0 }
    }

    /// The network with its weights.
    pub fn model(&self) -> Model {
        let mut random = Random(self.seed);
        let mut weights = Weights::new();
        for node in &self.network.nodes {
            let mut put = |part: &str, shape: &[usize], low: f64, high: f64| {
                let count = shape.iter().product();
                let data = (0..count).map(|_| random.within(low, high) as f32).collect();
                let tensor = Tensor::new(shape.to_vec(), data).expect("as many values as the shape says");
                weights.insert(format!("{}.{part}", node.name), tensor);
            };
            match &node.op {
                Op::Conv2d(conv) => {
                    if conv.bias {
                        put("bias", &[conv.out_channels], -1.0, 1.0);
                    }
                    let cpg = conv.channels_per_group();
                    let bound = (3.0 / (cpg * conv.taps()) as f64).sqrt();
                    match conv.doconv.filter(|_| self.composed) {
                        None => put("weight", &conv.kernel_shape(), -bound, bound),
                        Some(doconv) => {
                            let s = doconv.d_mul;
                            put("W", &[conv.out_channels, cpg, s], -bound, bound);
                            if conv.taps() > 1 {
                                let spread = 1.5 / (s as f64).sqrt();
                                put("D", &[conv.in_channels, conv.taps(), s], -spread, spread);
                            }
                            // A constant that is stored need not be the identity for the arithmetic to be right.
                            if conv.taps() > 1 && self.seed.is_multiple_of(2) {
                                let name = if self.seed.is_multiple_of(4) { "d_diag" } else { "D_diag" };
                                put(name, &[conv.in_channels, conv.taps(), s], -0.5, 1.0);
                            }
                        }
                    }
                }
                Op::BatchNorm(norm) => {
                    put("weight", &[norm.channels], -0.5, 1.5);
                    put("bias", &[norm.channels], -1.0, 1.0);
                    put("running_mean", &[norm.channels], -1.0, 1.0);
                    put("running_var", &[norm.channels], 0.3, 2.0);
                }
                Op::ConvTranspose2d(conv) => {
                    let bound = (3.0 / (conv.channels_per_group() * conv.taps()) as f64).sqrt();
                    put("weight", &conv.kernel_shape(), -bound, bound);
                    if conv.bias {
                        put("bias", &[conv.out_channels], -1.0, 1.0);
                    }
                }
                // Away from zero: others are divided by it.
                Op::Constant(shape) => put("value", shape, 0.5, 2.0),
                Op::Linear(linear) => {
                    let bound = (3.0 / linear.in_features as f64).sqrt();
                    put("weight", &[linear.out_features, linear.in_features], -bound, bound);
                    if linear.bias {
                        put("bias", &[linear.out_features], -1.0, 1.0);
                    }
                }
                _ => {}
            }
        }
        Model::new(self.network.clone(), weights).unwrap_or_else(|error| panic!("{error}\n{self:?}"))
    }

    /// One array for every input of the network.
    pub fn inputs(&self) -> Vec<Tensor> {
        let mut random = Random(!self.seed);
        let range = f64::from(self.input_range);
        let one = |input: &doconv::network::Input| {
            let [c, h, w] = input.shape;
            let shape = [self.batch * input.items, c, h, w];
            let data = (0..shape.iter().product()).map(|_| random.within(-range, range) as f32).collect();
            Tensor::new(shape, data).expect("as many values as the shape says")
        };
        self.network.inputs.iter().map(one).collect()
    }

    /// Whether the mode can express every layer; where it cannot, running must say so.
    pub fn is_expressible(&self, mode: Mode) -> bool {
        mode != Mode::Feature || self.convolutions().all(feature_form)
    }

    fn convolutions(&self) -> impl Iterator<Item = &Conv2d> {
        self.network.nodes.iter().filter_map(|node| match &node.op {
            Op::Conv2d(conv) => Some(conv),
            _ => None,
        })
    }
}

/// The authors' PyTorch pairing is the paper's for one group, and where every group has one output.
fn feature_form(conv: &Conv2d) -> bool {
    let torch = conv.doconv.is_some_and(|doconv| doconv.pairing == Pairing::Torch);
    conv.taps() == 1 || !torch || conv.groups == 1 || conv.groups == conv.out_channels
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn within(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        low + (high - low) * ((z >> 11) as f64 / (1u64 << 53) as f64)
    }
}
