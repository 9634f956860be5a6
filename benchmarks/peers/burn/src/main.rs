//! Images per second of training ResNet-20 on 32×32 images in burn, with ordinary convolutions: burn has no DO-Conv.
//!
//! The network is `--arch resnet20`, its projections included. Nesterov's momentum, random images: nothing but the steps
//! is timed. Kernels are tuned and compiled in the warm-up. The adapter is the one that burn finds, unless
//! `CUBECL_WGPU_DEFAULT_DEVICE` names one, `Cpu` for example; which it is is printed.
//!
//! ```text
//! cargo run --release -- --backend wgpu --batch 8 --steps 10 --warm-up 5
//! cargo run --release -- --backend flex --batch 64 --steps 20
//! cargo run --release --features burn/vulkan -- --batch 8   # SPIR-V instead of WGSL
//! ```

use std::error::Error;
use std::time::Instant;

use burn::cubecl;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use clap::{Parser, ValueEnum};

const LEARNING_RATE: f64 = 0.01;

/// Images per second of training ResNet-20 on 32×32 images in burn.
#[derive(Parser)]
struct Arguments {
    #[arg(long, value_enum, default_value = "wgpu")]
    backend: Backend,
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// How many steps are timed.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// How many steps come before them.
    #[arg(long, default_value_t = 3)]
    warm_up: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Wgpu,
    /// On the CPU, in Rust.
    Flex,
}

impl Backend {
    /// The device, and what it is.
    fn open(self) -> (Device, String) {
        match self {
            Backend::Wgpu => {
                let device = cubecl::Device::Wgpu(Default::default());
                let client = device.client();
                let description = format!("{} on {}", client.name(), client.properties().identity.name);
                (Device::new(device), description)
            }
            Backend::Flex => (Device::flex(), "flex".into()),
        }
    }
}

/// A convolution and its norm.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, size: usize, stride: usize, device: &Device) -> Self {
        let padding = size / 2;
        let conv = Conv2dConfig::new([inputs, outputs], [size, size])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_bias(false);
        Self { conv: conv.init(device), norm: BatchNormConfig::new(outputs).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block {
    first: Layer,
    second: Layer,
    projection: Option<Layer>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        Self {
            first: Layer::new(inputs, outputs, 3, stride, device),
            second: Layer::new(outputs, outputs, 3, 1, device),
            projection: (inputs != outputs).then(|| Layer::new(inputs, outputs, 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(x),
            None => x,
        };
        relu(y + shortcut)
    }
}

#[derive(Module, Debug)]
struct ResNet20 {
    stem: Layer,
    blocks: Vec<Block>,
    linear: Linear,
}

impl ResNet20 {
    fn new(device: &Device) -> Self {
        let stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)];
        let blocks = stages.into_iter().flat_map(|(inputs, outputs, stride)| {
            let rest = (1..3).map(move |_| Block::new(outputs, outputs, 1, device));
            std::iter::once(Block::new(inputs, outputs, stride, device)).chain(rest)
        });
        Self {
            stem: Layer::new(3, 16, 3, 1, device),
            blocks: blocks.collect(),
            linear: LinearConfig::new(64, 10).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = relu(self.stem.forward(images));
        let features = self.blocks.iter().fold(stem, |x, block| block.forward(x));
        self.linear.forward(features.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

struct Training {
    network: ResNet20,
    optimiser: ModuleOptimizer,
    loss: CrossEntropyLoss,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl Training {
    fn new(batch: usize, device: &Device) -> Self {
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0).with_nesterov(true);
        let sgd = SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(WeightDecayConfig::new(5e-4)));
        Self {
            network: ResNet20::new(device),
            optimiser: sgd.init(),
            loss: CrossEntropyLossConfig::new().init(device),
            images: Tensor::random([batch, 3, 32, 32], Distribution::Normal(0.0, 1.0), device),
            labels: Tensor::arange(0..batch as i64, device).remainder_scalar(10),
        }
    }

    /// One step; the loss before it.
    fn step(mut self) -> (Self, Tensor<1>) {
        let loss = self.loss.forward(self.network.forward(self.images.clone()), self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimiser.step(LEARNING_RATE, self.network, gradients);
        (self, loss)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (device, description) = arguments.backend.open();
    println!("{description}");
    let device = device.autodiff();
    device.seed(0);

    let mut training = Training::new(arguments.batch, &device);
    println!("{} parameters", training.network.num_params());
    let (mut start, mut last_loss) = (Instant::now(), None);
    for step in 0..arguments.warm_up + arguments.steps {
        if step == arguments.warm_up {
            device.sync()?;
            println!("warm-up: {:.1} s", start.elapsed().as_secs_f64());
            start = Instant::now();
        }
        let loss;
        (training, loss) = training.step();
        last_loss = Some(loss);
    }
    device.sync()?;
    let images = (arguments.batch * arguments.steps) as f64;
    println!("{:.1} images/s", images / start.elapsed().as_secs_f64());
    if let Some(loss) = last_loss {
        println!("loss of the last step: {:.3}", loss.into_scalar::<f32>());
    }
    Ok(())
}
