//! Small networks, and random weights and inputs for them.

use oorandom::Rand64;

use crate::network::{FORMAT_VERSION, Input, Network, Node, Op, Shape};
use crate::{Model, Result, Tensor, Weights};

/// A network in the making: its first input is `input`, values go by their nodes' names.
#[derive(Clone)]
pub(super) struct Graph {
    network: Network,
}

impl Graph {
    /// A network with one input.
    pub fn new(input: [usize; 3]) -> Self {
        Self::of_items([1, input[0], input[1], input[2]])
    }

    /// A network whose input has several maps per element of the batch.
    pub fn of_items(input: Shape) -> Self {
        let network = Network {
            version: FORMAT_VERSION,
            name: "verification".into(),
            inputs: vec![],
            nodes: vec![],
            outputs: vec![],
            preprocess: None,
            labels: vec![],
        };
        let mut graph = Self { network };
        graph.input("input", input);
        graph
    }

    /// A further input.
    pub fn input(&mut self, name: &str, [items, c, h, w]: Shape) -> String {
        self.network.inputs.push(Input { items, ..Input::new(name, [c, h, w]) });
        name.into()
    }

    /// A further node, whose name is the result.
    pub fn add(&mut self, op: Op, inputs: &[&str]) -> String {
        let name = format!("{}{}", op.name(), self.network.nodes.len());
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        self.network.nodes.push(Node { name: name.clone(), inputs, op });
        name
    }

    /// The shape of the last node's value, for a batch of one.
    pub fn last_shape(&self) -> Result<Shape> {
        let inferred = self.network.infer(1)?;
        Ok(inferred.nodes.last().copied().unwrap_or(inferred.inputs[0]))
    }

    /// The network with its last node as the output.
    pub fn finish(mut self) -> Network {
        self.network.outputs = self.network.nodes.last().map(|node| node.name.clone()).into_iter().collect();
        self.network
    }
}

/// A network of one operator with one input.
pub(super) fn single(input: Shape, op: Op) -> Network {
    let mut graph = Graph::of_items(input);
    graph.add(op, &["input"]);
    graph.finish()
}

/// Numbers that are the same for every run.
pub(super) struct Random(Rand64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Rand64::new(seed.into()))
    }

    /// Uniform within a range.
    pub fn within(&mut self, low: f64, high: f64) -> f32 {
        (low + (high - low) * self.0.rand_float()) as f32
    }

    /// A tensor of such numbers.
    pub fn tensor(&mut self, shape: &[usize], low: f64, high: f64) -> Result<Tensor> {
        Tensor::new(shape.to_vec(), self.values(shape.iter().product(), low, high))
    }

    /// Such numbers.
    pub fn values(&mut self, count: usize, low: f64, high: f64) -> Vec<f32> {
        (0..count).map(|_| self.within(low, high)).collect()
    }
}

/// A network with random weights, its DO-Conv layers with W and D. Sums stay about as large as what they are of.
pub(super) fn random_model(network: &Network, seed: u64) -> Result<Model> {
    let mut random = Random::new(seed);
    let mut weights = Weights::new();
    for node in &network.nodes {
        let mut put = |part: &str, shape: &[usize], low: f64, high: f64| -> Result<()> {
            weights.insert(format!("{}.{part}", node.name), random.tensor(shape, low, high)?);
            Ok(())
        };
        let bound = |terms: usize| (3.0 / terms as f64).sqrt();
        match &node.op {
            Op::Conv2d(conv) => {
                let (cpg, taps) = (conv.channels_per_group(), conv.taps());
                let bound = bound(cpg * taps);
                match conv.doconv {
                    None => put("weight", &conv.kernel_shape(), -bound, bound)?,
                    Some(doconv) => {
                        let (s, spread) = (doconv.d_mul, 1.5 / (doconv.d_mul as f64).sqrt());
                        put("W", &[conv.out_channels, cpg, s], -bound, bound)?;
                        if taps > 1 {
                            put("D", &[conv.in_channels, taps, s], -spread, spread)?;
                        }
                    }
                }
                if conv.bias {
                    put("bias", &[conv.out_channels], -1.0, 1.0)?;
                }
            }
            Op::ConvTranspose2d(conv) => {
                let bound = bound(conv.channels_per_group() * conv.taps());
                put("weight", &conv.kernel_shape(), -bound, bound)?;
                if conv.bias {
                    put("bias", &[conv.out_channels], -1.0, 1.0)?;
                }
            }
            Op::Linear(linear) => {
                let bound = bound(linear.in_features);
                put("weight", &[linear.out_features, linear.in_features], -bound, bound)?;
                if linear.bias {
                    put("bias", &[linear.out_features], -1.0, 1.0)?;
                }
            }
            Op::BatchNorm(norm) => {
                put("weight", &[norm.channels], 0.5, 1.5)?;
                put("bias", &[norm.channels], -1.0, 1.0)?;
                put("running_mean", &[norm.channels], -1.0, 1.0)?;
                put("running_var", &[norm.channels], 0.3, 2.0)?;
            }
            // Away from zero: others are divided by it.
            Op::Constant(shape) => put("value", shape, 0.5, 2.0)?,
            _ => {}
        }
    }
    Model::new(network.clone(), weights)
}

/// One array for every input of a network.
pub(super) fn random_inputs(network: &Network, batch: usize, range: f64, seed: u64) -> Result<Vec<Tensor>> {
    let mut random = Random::new(!seed);
    let of = |input: &Input| {
        let [c, h, w] = input.shape;
        random.tensor(&[batch * input.items, c, h, w], -range, range)
    };
    network.inputs.iter().map(of).collect()
}
