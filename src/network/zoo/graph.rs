//! Writing networks down, layer after layer.

use crate::network::{
    Activation, BatchNorm, Conv2d, DoConv, FORMAT_VERSION, Filter, Input, Linear, MaxPool, Network, Node, Op, Pairing,
    Preprocess,
};

/// A convolution to be added; its input channels are those of the value it reads.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    groups: usize,
    bias: bool,
}

#[derive(Clone, Copy)]
enum Padding {
    /// The same number of zeros on every side.
    Even(usize),
    /// TensorFlow's SAME: as many as the output needs, the odd one at the bottom and the right.
    Same,
}

/// A square convolution without bias whose padding keeps the size at stride 1.
pub(super) fn conv(outputs: usize, kernel: usize) -> Conv {
    Conv { outputs, kernel, stride: 1, padding: Padding::Even(kernel / 2), groups: 1, bias: false }
}

impl Conv {
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn valid(self) -> Self {
        Self { padding: Padding::Even(0), ..self }
    }

    pub fn same(self) -> Self {
        Self { padding: Padding::Same, ..self }
    }

    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Zeros before and after an extent of `size`.
    fn padding(&self, size: usize) -> (usize, usize) {
        match self.padding {
            Padding::Even(padding) => (padding, padding),
            Padding::Same => {
                let total = ((size.div_ceil(self.stride) - 1) * self.stride + self.kernel).saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }
}

/// A value that later nodes can read.
#[derive(Clone)]
pub(super) struct Value {
    name: String,
    pub channels: usize,
    /// Height and width.
    pub size: usize,
}

/// A network in the making. Every method adds a node that reads the value of the last one.
pub(super) struct Graph {
    network: Network,
    eps: f64,
    pub last: Value,
}

impl Graph {
    /// A network with one square input, called `image`.
    pub fn new(name: &str, channels: usize, size: usize) -> Self {
        let network = Network {
            version: FORMAT_VERSION,
            name: name.into(),
            inputs: vec![Input::new("image", [channels, size, size])],
            nodes: vec![],
            outputs: vec![],
            preprocess: None,
            labels: vec![],
        };
        Self { network, eps: 1e-5, last: Value { name: "image".into(), channels, size } }
    }

    /// An ImageNet classifier as torchvision and GluonCV train them: the central 224 of 256 pixels, ImageNet's
    /// mean and standard deviation.
    pub fn imagenet(name: &str) -> Self {
        let mut graph = Self::new(name, 3, 224);
        graph.network.preprocess = Preprocess::preset("imagenet");
        graph
    }

    /// Sets the preprocessing; `mean` and `std` are for values in 0…1.
    pub fn preprocess(mut self, crop_fraction: f64, filter: Filter, mean: [f64; 3], std: [f64; 3]) -> Self {
        self.network.preprocess = Some(Preprocess::scaled(crop_fraction, filter, mean, std));
        self
    }

    /// The same with another epsilon in the batch norms to come; it is 1e-5 otherwise, in PyTorch and Gluon alike.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// The network whose output is the last value.
    pub fn finish(mut self) -> Network {
        self.network.outputs = vec![self.last.name];
        self.network
    }

    /// A convolution; every spatial one is marked as a DO-Conv layer.
    pub fn conv(&mut self, name: impl Into<String>, conv: Conv) {
        let (before, after) = conv.padding(self.last.size);
        let taps = conv.kernel * conv.kernel;
        let op = Conv2d {
            stride: [conv.stride; 2],
            padding: [before, before, after, after],
            groups: conv.groups,
            bias: conv.bias,
            doconv: (taps > 1).then_some(DoConv { d_mul: taps, pairing: Pairing::Paper }),
            ..Conv2d::new(self.last.channels, conv.outputs, [conv.kernel; 2])
        };
        self.last.size = (self.last.size + before + after - conv.kernel) / conv.stride + 1;
        self.last.channels = conv.outputs;
        self.push(name, Op::Conv2d(op));
    }

    pub fn norm(&mut self, name: impl Into<String>) {
        self.push(name, Op::BatchNorm(BatchNorm { channels: self.last.channels, eps: self.eps }));
    }

    pub fn activation(&mut self, name: impl Into<String>, activation: Activation) {
        self.push(name, Op::Activation(activation));
    }

    pub fn relu(&mut self, name: impl Into<String>) {
        self.activation(name, Activation::Relu);
    }

    /// A square maximum whose padding is half the window or nothing.
    pub fn max_pool(&mut self, name: impl Into<String>, kernel: usize, padding: usize, ceil_mode: bool) {
        let stride = 2;
        let free = self.last.size + 2 * padding - kernel;
        self.last.size = if ceil_mode { free.div_ceil(stride) } else { free / stride } + 1;
        let pool =
            MaxPool { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 4], dilation: [1, 1], ceil_mode };
        self.push(name, Op::MaxPool(pool));
    }

    pub fn global_avg_pool(&mut self, name: impl Into<String>) {
        self.last.size = 1;
        self.push(name, Op::GlobalAvgPool);
    }

    /// A fully connected layer with bias over all channels and pixels.
    pub fn linear(&mut self, name: impl Into<String>, out_features: usize) {
        let in_features = self.last.channels * self.last.size * self.last.size;
        self.push(name, Op::Linear(Linear { in_features, out_features, bias: true }));
        self.last.channels = out_features;
        self.last.size = 1;
    }

    /// The sum of the last value and another.
    pub fn add(&mut self, name: impl Into<String>, other: Value) {
        self.join(name, other, Op::Add);
    }

    /// The last value, a gate of one pixel, times another value.
    pub fn gate(&mut self, name: impl Into<String>, other: Value) {
        self.last.size = other.size;
        self.join(name, other, Op::Mul);
    }

    /// The channels of another value, and then those of the last one.
    pub fn append_to(&mut self, name: impl Into<String>, other: Value) {
        self.last.channels += other.channels;
        self.join(name, other, Op::Concat);
    }

    fn push(&mut self, name: impl Into<String>, op: Op) {
        let name = name.into();
        let inputs = vec![std::mem::replace(&mut self.last.name, name.clone())];
        self.network.nodes.push(Node { name, inputs, op });
    }

    fn join(&mut self, name: impl Into<String>, other: Value, op: Op) {
        self.push(name, op);
        let node = self.network.nodes.last_mut().expect("a node was just added");
        node.inputs.insert(0, other.name);
    }
}

/// Channels times a width multiplier, to a multiple of 8 that is no more than 10 % below.
pub(super) fn round_to_eight(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}
