//! Steps that only training has: parameters that change, batch norms with batch statistics, the loss, their backward passes,
//! and the optimiser.
//!
//! In a build without training, [`TrainStep`] is a type without values, and the code of executors for it is not compiled.

#[cfg(training)]
pub(crate) use steps::AFFINE_PARTS;
#[cfg(training)]
pub use steps::{
    Accumulate, Blend, HYPERPARAMETERS, Hyperparameters, Load, LoadedPart, NormGradient, NormSums, Normalise,
    PoolGradient, Rule, TrainStep, Update,
};

use super::ValueId;

/// Index of a list in [`Plan::arenas`](super::Plan::arenas).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArenaId(pub(crate) usize);

/// A value that stays from run to run.
#[derive(Clone, Debug)]
pub struct State {
    /// Which.
    pub value: ValueId,
    /// What it is before the first run, NCHW.
    pub initial: Vec<f32>,
}

/// What this build does not have.
#[cfg(not(training))]
#[derive(Clone, Debug)]
pub enum TrainStep {}

#[cfg(not(training))]
impl TrainStep {
    pub(super) fn inputs(&self) -> Vec<ValueId> {
        match *self {}
    }

    pub(super) fn output(&self) -> Option<ValueId> {
        match *self {}
    }
}

#[cfg(training)]
mod steps {
    use bytemuck::{Pod, Zeroable};

    use super::super::{KernelId, Pool, ValueId};
    use super::ArenaId;
    use crate::network::Activation;

    /// What the two items of a batch norm's parameter are: `[2, C, 1, 1]`, in this order, which is that of the sums that
    /// its gradient consists of.
    pub(crate) const AFFINE_PARTS: [&str; 2] = ["bias", "weight"];

    /// What changes from run to run: an input `[1, `[`HYPERPARAMETERS`]`, 1, 1]`, the first seven as the [`Rule`] wants them.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
    pub struct Hyperparameters {
        /// The learning rate.
        pub rate: f32,
        /// Momentum, or β₁.
        pub momentum: f32,
        /// Weight decay.
        pub decay: f32,
        /// β₂.
        pub second_momentum: f32,
        /// Added to a root.
        pub eps: f32,
        /// `rate / (1 − β₁ᵗ)`.
        pub step: f32,
        /// `1 / √(1 − β₂ᵗ)`.
        pub unbias: f32,
        /// What the norm of all gradients together is bounded by, see [`Update::squares`].
        pub largest_norm: f32,
        /// What remains of gradients that were added up so far, 0 or 1, see [`Accumulate`].
        pub kept: f32,
        /// The share of this run's gradients that is added to them.
        pub share: f32,
        /// 1 if the optimiser takes a step in this run, else 0.
        pub takes_step: f32,
        /// A map has whole vectors.
        pub unused: f32,
    }

    /// Channels of the input that holds them.
    pub const HYPERPARAMETERS: usize = size_of::<Hyperparameters>() / size_of::<f32>();

    impl Hyperparameters {
        /// From what the input holds.
        pub(crate) fn of(values: &[f32]) -> Self {
            bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
        }

        /// What the input holds.
        pub fn values(&self) -> &[f32] {
            bytemuck::cast_slice(std::slice::from_ref(self))
        }
    }

    /// A step that only training has.
    #[derive(Clone, Debug)]
    pub enum TrainStep {
        /// Parameters become a kernel.
        Load(Load),
        /// Mean and biased variance of every channel over batch and pixels: `[2, C, 1, 1]`.
        BatchStatistics {
            /// Any map.
            input: ValueId,
            /// First the means, then the variances.
            output: ValueId,
        },
        /// A batch norm with the statistics of its batch.
        Normalise(Normalise),
        /// The gradient of what an activation was applied to.
        ActivationGradient {
            /// Which.
            activation: Activation,
            /// The activation's result where it only bounds ([`Activation::only_bounds`]), else its argument.
            of: ValueId,
            /// The gradient of the result.
            grad_output: ValueId,
            /// The gradient of the argument.
            output: ValueId,
        },
        /// What the gradient of a batch norm sums up.
        NormSums(NormSums),
        /// The gradient of what a batch norm has normalised.
        NormGradient(NormGradient),
        /// The gradient of what was pooled.
        PoolGradient(PoolGradient),
        /// For every item the cross-entropy `−Σ target · log softmax(logits)`, and 1 where the largest logit is that of the
        /// largest target, else 0; of several that are equally large the first counts.
        CrossEntropy {
            /// `[N, C, 1, 1]`.
            logits: ValueId,
            /// The same shape: probabilities.
            targets: ValueId,
            /// `[N, 2, 1, 1]`.
            output: ValueId,
        },
        /// The gradient of the mean cross-entropy: `(softmax(logits) · Σ target − target) / N`.
        CrossEntropyGradient {
            /// As above.
            logits: ValueId,
            /// As above.
            targets: ValueId,
            /// Like the logits.
            output: ValueId,
        },
        /// Sums along the axes on which the output has the extent 1.
        Reduce {
            /// Any shape.
            input: ValueId,
            /// Along every axis the extent of the input, or 1.
            output: ValueId,
        },
        /// The sum of the squares of everything in some values, `[1, 1, 1, 1]`.
        SquareSum {
            /// Any shapes.
            inputs: Vec<ValueId>,
            /// The sum.
            output: ValueId,
        },
        /// A state takes something up.
        Blend(Blend),
        /// Gradients of several runs are added up.
        Accumulate(Accumulate),
        /// The optimiser's step: all parameters at once.
        Update(Update),
    }

    /// Which part of a kernel is loaded.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum LoadedPart {
        /// The values, from `[out, in / groups, rows, columns]`.
        Kernel,
        /// W, from `[out, in / groups, S, 1]`.
        W,
        /// D, from its trainable part `[in, K, S, 1]`, to which the identity is added.
        D,
        /// The bias, from `[1, out, 1, 1]`.
        Bias,
    }

    /// Parameters become a kernel.
    #[derive(Clone, Debug)]
    pub struct Load {
        /// Which kernel.
        pub kernel: KernelId,
        /// Which part of it.
        pub part: LoadedPart,
        /// The parameters.
        pub input: ValueId,
    }

    /// `activation((input − mean) / √(variance + eps) · weight + bias + residual)` per channel.
    #[derive(Clone, Debug)]
    pub struct Normalise {
        /// Added to the variance.
        pub eps: f32,
        /// What is normalised.
        pub input: ValueId,
        /// Mean and variance, `[2, C, 1, 1]`.
        pub statistics: ValueId,
        /// Bias and weight, `[2, C, 1, 1]`.
        pub affine: ValueId,
        /// Added before the activation; the shape of the input.
        pub residual: Option<ValueId>,
        /// Applied last; one that only bounds.
        pub activation: Option<Activation>,
        /// The result.
        pub output: ValueId,
    }

    /// The gradients of bias and weight of a batch norm, `Σ grad_output` and `Σ grad_output · normalised`.
    #[derive(Clone, Debug)]
    pub struct NormSums {
        /// Added to the variance.
        pub eps: f32,
        /// What was normalised.
        pub input: ValueId,
        /// With what.
        pub statistics: ValueId,
        /// The gradient of the result, before residual and activation.
        pub grad_output: ValueId,
        /// `[2, C, 1, 1]`.
        pub output: ValueId,
    }

    /// `weight / √(variance + eps) · (grad_output − (sum₀ + normalised · sum₁) / count)`: through the statistics, too.
    #[derive(Clone, Debug)]
    pub struct NormGradient {
        /// Added to the variance.
        pub eps: f32,
        /// What was normalised.
        pub input: ValueId,
        /// With what.
        pub statistics: ValueId,
        /// Bias and weight.
        pub affine: ValueId,
        /// What [`NormSums`] gives.
        pub sums: ValueId,
        /// The gradient of the result, before residual and activation.
        pub grad_output: ValueId,
        /// The gradient of the input.
        pub output: ValueId,
    }

    /// Every pixel gets the gradients of the windows whose maximum it is, the first one where several are, or its share of
    /// their means.
    #[derive(Clone, Debug)]
    pub struct PoolGradient {
        /// The pooling, with its input and output.
        pub pool: Pool,
        /// The gradient of the output.
        pub grad_output: ValueId,
        /// The gradient of the input.
        pub output: ValueId,
    }

    /// `state = keep · state + add · input`, where `add` may differ between two items.
    #[derive(Clone, Debug)]
    pub struct Blend {
        /// What remains of the state.
        pub keep: f32,
        /// What is taken up of the first and of the second item.
        pub add: [f32; 2],
        /// One or two items.
        pub input: ValueId,
        /// The same shape.
        pub state: ValueId,
    }

    /// Gradients of several runs are added up: `sum = kept · sum + share · gradient`, as [`Hyperparameters`] say.
    #[derive(Clone, Debug)]
    pub struct Accumulate {
        /// What they depend on.
        pub hyperparameters: ValueId,
        /// Those of this run.
        pub gradients: ArenaId,
        /// The sums, states of the same shapes in the same order.
        pub sums: ArenaId,
    }

    /// How parameters follow their gradients, with what [`Hyperparameters`] say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Rule {
        /// PyTorch's: `g += decay · p`; `m = momentum · m + g`; `p −= rate · (g + momentum · m)` with Nesterov's momentum,
        /// else `p −= rate · m`.
        Sgd {
            /// Whether the step looks ahead.
            nesterov: bool,
        },
        /// Loshchilov and Hutter, 2019: `p −= rate · decay · p`; `m = β₁ m + (1 − β₁) g`; `v = β₂ v + (1 − β₂) g²`;
        /// `p −= rate / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps)`.
        AdamW,
    }

    impl Rule {
        /// How many values it remembers for every parameter.
        pub fn moments(self) -> usize {
            match self {
                Rule::Sgd { .. } => 1,
                Rule::AdamW => 2,
            }
        }
    }

    /// The optimiser's step.
    #[derive(Clone, Debug)]
    pub struct Update {
        /// How.
        pub rule: Rule,
        /// What it depends on.
        pub hyperparameters: ValueId,
        /// What is changed.
        pub parameters: ArenaId,
        /// By what: the same shapes in the same order.
        pub gradients: ArenaId,
        /// The sum of the squares of all gradients. Where it is there, these are scaled by
        /// `min(1, largest norm / (√squares + 10⁻⁶))`, as PyTorch's `clip_grad_norm_` does.
        pub squares: Option<ValueId>,
        /// What is remembered: as many as the rule wants, of the same shapes.
        pub moments: Vec<ArenaId>,
        /// So many of the parameters, the first ones, decay.
        pub decayed: usize,
    }

    impl TrainStep {
        pub(in super::super) fn inputs(&self) -> Vec<ValueId> {
            match self {
                TrainStep::Load(step) => vec![step.input],
                TrainStep::BatchStatistics { input, .. } => vec![*input],
                TrainStep::Normalise(step) => {
                    [step.input, step.statistics, step.affine].into_iter().chain(step.residual).collect()
                }
                TrainStep::ActivationGradient { of, grad_output, .. } => vec![*of, *grad_output],
                TrainStep::NormSums(step) => vec![step.input, step.statistics, step.grad_output],
                TrainStep::NormGradient(step) => {
                    vec![step.input, step.statistics, step.affine, step.sums, step.grad_output]
                }
                TrainStep::PoolGradient(step) => vec![step.pool.input, step.grad_output],
                TrainStep::CrossEntropy { logits, targets, .. }
                | TrainStep::CrossEntropyGradient { logits, targets, .. } => vec![*logits, *targets],
                TrainStep::Reduce { input, .. } => vec![*input],
                TrainStep::SquareSum { inputs, .. } => inputs.clone(),
                TrainStep::Blend(step) => vec![step.input],
                TrainStep::Accumulate(step) => vec![step.hyperparameters],
                TrainStep::Update(step) => [Some(step.hyperparameters), step.squares].into_iter().flatten().collect(),
            }
        }

        pub(in super::super) fn output(&self) -> Option<ValueId> {
            match self {
                TrainStep::Load(_) | TrainStep::Accumulate(_) | TrainStep::Update(_) => None,
                TrainStep::BatchStatistics { output, .. }
                | TrainStep::ActivationGradient { output, .. }
                | TrainStep::CrossEntropy { output, .. }
                | TrainStep::CrossEntropyGradient { output, .. }
                | TrainStep::Reduce { output, .. }
                | TrainStep::SquareSum { output, .. } => Some(*output),
                TrainStep::Normalise(step) => Some(step.output),
                TrainStep::NormSums(step) => Some(step.output),
                TrainStep::NormGradient(step) => Some(step.output),
                TrainStep::PoolGradient(step) => Some(step.output),
                TrainStep::Blend(step) => Some(step.state),
            }
        }
    }
}

#[cfg(test)]
#[cfg(training)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::network::MaxPool;
    use crate::plan::{Plan, Pool, PoolKind, Step, Value};
    use crate::reference::{self, Map};
    use crate::session::Executor;
    use crate::{Adapter, Selector};

    /// On the CPU path and every other adapter that is there: tests of whole steps cannot show it, whose loss is NaN then.
    #[test]
    fn the_first_nan_of_a_window_gets_its_gradient() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let input = [
            [1.0, nan, 2.0, nan, 3.0, -inf, -inf, -inf],
            [nan, inf, inf, 1.0, 2.0, -1.0, nan, nan],
            [-inf, -inf, -inf, -inf, 5.0, 5.0, inf, inf],
        ]
        .concat();
        let max = MaxPool { kernel: [2, 3], stride: [1, 2], padding: [1; 4], dilation: [1, 1], ceil_mode: false };
        let map = |shape, values: &[f32]| Map { shape, data: values.iter().map(|&value| f64::from(value)).collect() };
        let input_map = map([1, 1, 3, 8], &input);
        let shape = reference::max_pool(&max, &input_map).shape;
        let grad_output: Vec<f32> = (1..=shape.iter().product::<usize>()).map(|at| at as f32).collect();
        let want = reference::max_pool_gradient(&max, &input_map, &map(shape, &grad_output)).data;

        let value = |name: &str, shape| Value { name: name.into(), shape };
        let MaxPool { kernel, stride, padding, dilation, .. } = max;
        let (input_id, pooled) = (ValueId(0), ValueId(1));
        let pool = Pool { kind: PoolKind::Max, kernel, stride, padding, dilation, input: input_id, output: pooled };
        let step = PoolGradient { pool, grad_output: ValueId(2), output: ValueId(3) };
        let plan = Plan {
            values: vec![
                value("input", [1, 1, 3, 8]),
                value("pooled", shape),
                value("gradient", shape),
                value("gradient of input", [1, 1, 3, 8]),
            ],
            kernels: vec![],
            constants: vec![],
            steps: vec![Step::Train(TrainStep::PoolGradient(step))],
            inputs: vec![input_id, ValueId(2)],
            outputs: vec![ValueId(3)],
            states: vec![],
            arenas: vec![],
        };
        for index in 0..block_on(Adapter::list()).len() {
            let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
            let mut executor = block_on(Executor::load(&adapter, &plan)).unwrap();
            let got = block_on(executor.run(1, &[&input, &grad_output])).unwrap().swap_remove(0);
            let got: Vec<f64> = got.into_iter().map(f64::from).collect();
            assert_eq!(got, want, "{}", adapter.info().name);
        }
    }
}
