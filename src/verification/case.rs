//! One thing that is checked: a small network, a layer's gradients, a training step, or images, with the policy that decides by
//! which kernels.

use super::graph::random_model;
use crate::gpu::kernels::conv::KernelLayouts;
use crate::gpu::kernels::image_shaders;
use crate::gpu::policy::Policy;
use crate::gpu::program::{KernelSetup, Program, shaders};
use crate::gpu::shader::ShaderKey;
use crate::network::{Conv2d, Network, Op, Shape};
use crate::plan::{Mode, Plan, Recipe, TrainingPlan};
use crate::{Layer, Model, Result, Weights};

/// Makes the weights of every case.
pub(super) const SEED: u64 = 7;

/// What is computed.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// A network with random weights, and inputs within ± `range`.
    Network { network: Network, mode: Mode, batch: usize, range: f64 },
    /// A layer forward, and backward if that is wanted.
    Layer { conv: Conv2d, mode: Mode, input: Shape, backward: bool },
    /// One training step, in so many parts.
    Training { network: Network, recipe: Recipe, parts: usize, largest_norm: f32 },
    /// Images preprocessed and ranked.
    Images { network: Network, batch: usize, softmax: bool },
}

/// Something to check on an adapter.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    pub(super) subject: Subject,
    pub(super) policy: Policy,
    shaders: Vec<ShaderKey>,
    /// Under what names a policy excludes what chose them.
    choices: Vec<&'static str>,
}

impl Case {
    /// On a GPU: with the shaders that a policy gives.
    pub(super) fn on_gpu(name: String, subject: Subject, policy: Policy) -> Result<Self> {
        let mut case = Self { name, subject, policy, shaders: vec![], choices: vec![] };
        let (plan, batch) = case.subject.plan()?;
        let layouts = KernelLayouts::new(&plan, &case.policy);
        let program = Program::new(&plan, batch, &case.policy, &layouts)?;
        let setup = KernelSetup::new(&plan, &case.policy, &layouts)?;
        let dispatches = || setup.dispatches().chain(&program.dispatches);
        case.shaders = shaders(dispatches());
        case.choices = dispatches().filter_map(|dispatch| dispatch.choice).collect();
        if let Subject::Images { softmax, .. } = case.subject {
            case.shaders.extend(image_shaders(softmax).map(|key| key.in_precision(case.policy.precision)));
        }
        Ok(case)
    }

    /// On the CPU path.
    pub(super) fn on_cpu(name: String, subject: Subject, policy: Policy) -> Self {
        Self { name, subject, policy, shaders: vec![], choices: vec![] }
    }

    /// What it is, in a few words.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shaders that it runs; none on the CPU path.
    pub fn shaders(&self) -> &[ShaderKey] {
        &self.shaders
    }

    /// Whether it runs by the kernel that its policy prefers, if it prefers any.
    pub(super) fn is_as_preferred(&self) -> bool {
        self.policy.preferred.is_none_or(|preferred| self.choices.contains(&preferred))
    }

    /// Whether it takes so long that a quick look does without it.
    pub(super) fn is_large(&self) -> bool {
        const MANY_VALUES: usize = 100_000;
        let Subject::Network { network, .. } = &self.subject else { return false };
        network.inputs.iter().any(|input| input.shape.iter().product::<usize>() > MANY_VALUES)
    }

    /// The shader families that it runs, or on the CPU path the operators.
    pub fn kernels(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = match self.shaders.is_empty() {
            false => self.shaders.iter().map(|shader| shader.kernel.name).collect(),
            true => self.subject.operators(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Subject {
    /// Its plan, and with which batch that is run.
    pub fn plan(&self) -> Result<(Plan, usize)> {
        Ok(match self {
            Self::Network { network, mode, batch, .. } => (Plan::new(&random_model(network, SEED)?, *mode)?, *batch),
            Self::Images { network, batch, .. } => (Plan::new(&random_model(network, SEED)?, Mode::Folded)?, *batch),
            Self::Layer { mode, input, backward, .. } => (self.layer()?.plan(*mode, input, *backward)?.0, 1),
            Self::Training { .. } => (self.training()?.plan, 1),
        })
    }

    /// Its layer, with random parameters.
    pub fn layer(&self) -> Result<Layer> {
        let Self::Layer { conv, .. } = self else { unreachable!("only asked of layers") };
        let network = super::graph::single([1, conv.in_channels, 64, 64], Op::Conv2d(conv.clone()));
        let node = format!("{}.", network.nodes[0].name);
        let weights = random_model(&network, SEED)?.weights().clone();
        let own = |(name, tensor): (String, _)| Some((name.strip_prefix(&node)?.to_owned(), tensor));
        Layer::new(conv.clone(), weights.into_iter().filter_map(own).collect::<Weights>())
    }

    /// Its training step.
    pub fn training(&self) -> Result<TrainingPlan> {
        let Self::Training { recipe, .. } = self else { unreachable!("only asked of training steps") };
        TrainingPlan::new(&self.model()?, *recipe, &|_| true)
    }

    /// Its network with random weights.
    pub fn model(&self) -> Result<Model> {
        match self {
            Self::Network { network, .. } | Self::Training { network, .. } | Self::Images { network, .. } => {
                random_model(network, SEED)
            }
            Self::Layer { .. } => unreachable!("a layer is no network"),
        }
    }

    fn operators(&self) -> Vec<&'static str> {
        match self {
            Self::Network { network, .. } => network.nodes.iter().map(|node| node.op.name()).collect(),
            Self::Layer { .. } => vec!["gradients"],
            Self::Training { .. } => vec!["training"],
            Self::Images { .. } => vec!["preprocess"],
        }
    }
}
