//! The shaders that only training has, and how its steps become dispatches of them.

use minijinja::{Value, context};

use super::choose::Split;
use super::dispatch::{Dispatch, Lowering, Place, Resource, dispatch, flat};
use super::layout::{KernelLayout, map_len, slices};
use super::params;
use super::shader::{ActivationClass, Shader};
use crate::Result;
use crate::plan::{
    ArenaId, KernelSource, Load, LoadedPart, Memory, NormGradient, NormSums, Normalise, PoolGradient, PoolKind, Rule,
    TrainStep, Update, ValueId,
};

/// A shader that only training has, with how it is specialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrainShader {
    /// Parameters become a part of a kernel.
    Load(LoadedPart),
    /// Means and squared distances for parts of the pixels.
    BatchStatistics,
    /// Means and variances from those.
    JoinStatistics,
    /// A batch norm with given statistics.
    Normalise,
    /// The gradient of an activation.
    ActivationGradient(ActivationClass),
    /// What a batch norm's gradient sums up.
    NormSums,
    /// The gradient of what was normalised.
    NormGradient,
    /// The gradient of what was pooled.
    PoolGradient(PoolKind),
    /// The loss of every item, or its gradient.
    CrossEntropy {
        /// Which of them.
        gradient: bool,
    },
    /// Sums along axes.
    Reduce {
        /// Whether along that of the channels, too.
        channels: bool,
    },
    /// Sums of squares, in parts.
    SquareSum {
        /// Whether the parts are joined.
        join: bool,
    },
    /// A state that takes something up.
    Blend,
    /// Gradients of several runs, added up.
    Accumulate,
    /// The optimiser's step.
    Update {
        /// How.
        rule: Rule,
        /// Whether gradients are scaled down to a largest norm.
        clips: bool,
    },
}

impl TrainShader {
    pub(super) fn workgroup(self) -> [u32; 2] {
        match self {
            TrainShader::BatchStatistics | TrainShader::JoinStatistics | TrainShader::NormSums => [32, 1],
            TrainShader::CrossEntropy { .. } => [32, 1],
            _ => [64, 1],
        }
    }

    pub(super) fn specialisation(self) -> (&'static str, Value) {
        match self {
            TrainShader::Load(part) => {
                let part = match part {
                    LoadedPart::Kernel | LoadedPart::W => "kernel",
                    LoadedPart::D => "d",
                    LoadedPart::Bias => "bias",
                };
                ("training/load.wgsl", context! { part, params => params::Load::WGSL })
            }
            TrainShader::BatchStatistics => {
                ("training/batch_statistics.wgsl", context! { params => params::NormSums::WGSL })
            }
            TrainShader::JoinStatistics => {
                ("training/join_statistics.wgsl", context! { params => params::NormSums::WGSL })
            }
            TrainShader::Normalise => {
                let activation = ActivationClass::Bounds.name();
                ("training/normalise.wgsl", context! { activation, params => params::Normalise::WGSL })
            }
            TrainShader::ActivationGradient(activation) => {
                let activation = activation.name();
                ("training/activation_gradient.wgsl", context! { activation, params => params::Elementwise::WGSL })
            }
            TrainShader::NormSums => ("training/norm_sums.wgsl", context! { params => params::NormSums::WGSL }),
            TrainShader::NormGradient => {
                ("training/norm_gradient.wgsl", context! { params => params::NormGradient::WGSL })
            }
            TrainShader::PoolGradient(kind) => {
                ("training/pool_gradient.wgsl", context! { kind => kind.name(), params => params::Pool::WGSL })
            }
            TrainShader::CrossEntropy { gradient } => {
                ("training/cross_entropy.wgsl", context! { gradient, params => params::CrossEntropy::WGSL })
            }
            TrainShader::Blend => ("training/blend.wgsl", context! { params => params::Blend::WGSL }),
            TrainShader::Reduce { channels } => {
                ("training/reduce.wgsl", context! { channels, params => params::Reduce::WGSL })
            }
            TrainShader::SquareSum { join } => {
                ("training/square_sum.wgsl", context! { join, params => params::SquareSum::WGSL })
            }
            TrainShader::Accumulate => ("training/accumulate.wgsl", context! { params => params::Accumulate::WGSL }),
            TrainShader::Update { rule, clips } => {
                let rule = match rule {
                    Rule::Sgd { nesterov: false } => "sgd",
                    Rule::Sgd { nesterov: true } => "nesterov",
                    Rule::AdamW => "adam_w",
                };
                ("training/update.wgsl", context! { rule, clips, params => params::Update::WGSL })
            }
        }
    }
}

impl Lowering<'_> {
    pub(super) fn training_step(&self, step: &TrainStep) -> Result<Vec<Dispatch>> {
        Ok(vec![match step {
            TrainStep::Load(step) => self.load(step)?,
            TrainStep::BatchStatistics { input, output } => return self.statistics(*input, *output),
            TrainStep::Normalise(step) => self.normalise(step)?,
            TrainStep::ActivationGradient { activation, of, grad_output, output } => {
                let (class, [lower, upper]) = ActivationClass::of(Some(*activation));
                let [n, c, h, w] = self.shape(*output);
                let maps = n * slices(c);
                let params = params::Elementwise { maps: maps as u32, area: (h * w) as u32, b_area: 1, lower, upper };
                let shader = Shader::Train(TrainShader::ActivationGradient(class));
                let bound = vec![(1, *of), (2, *grad_output), (3, *output)];
                self.maps_dispatch(shader, &params, bound, [h * w, maps, 1])?
            }
            TrainStep::NormSums(step) => return self.norm_sums(step),
            TrainStep::NormGradient(step) => self.norm_gradient(step)?,
            TrainStep::PoolGradient(step) => self.pool_gradient(step)?,
            TrainStep::CrossEntropy { logits, targets, output } => {
                self.cross_entropy(false, [*logits, *targets, *output])?
            }
            TrainStep::CrossEntropyGradient { logits, targets, output } => {
                self.cross_entropy(true, [*logits, *targets, *output])?
            }
            TrainStep::Blend(step) => {
                let shape = self.shape(step.state);
                let length = map_len(shape) / 4;
                let (row, invocations) = flat(length);
                let [first, second] = step.add;
                let item = (length / shape[0]) as u32;
                let params = params::Blend { row, length: length as u32, item, keep: step.keep, first, second };
                let bound = vec![(1, step.input), (2, step.state)];
                self.maps_dispatch(Shader::Train(TrainShader::Blend), &params, bound, invocations)?
            }
            TrainStep::Reduce { input, output } => self.reduce(*input, *output)?,
            TrainStep::SquareSum { inputs, output } => return self.square_sum(inputs, *output),
            TrainStep::Accumulate(step) => {
                let length = self.arena_len(step.sums);
                let (row, invocations) = flat(length);
                let params = params::Accumulate { row, length: length as u32 };
                let bindings = vec![
                    (1, Resource::Map(step.hyperparameters)),
                    (2, Resource::Arena(step.gradients)),
                    (3, Resource::Arena(step.sums)),
                ];
                let shader = Shader::Train(TrainShader::Accumulate);
                dispatch("gradients added up", shader, &params, bindings, invocations)?
            }
            TrainStep::Update(step) => self.update(step)?,
        }])
    }

    fn load(&self, step: &Load) -> Result<Dispatch> {
        let kernel = self.plan.kernel(step.kernel);
        let (conv, [_, channels, ..]) = (&kernel.conv, self.shape(step.input));
        let composed = match &kernel.source {
            KernelSource::Composed(composed) => Some(composed.attributes.d_mul),
            _ => None,
        };
        let own = KernelLayout::of(conv);
        let mut params = params::Load {
            slices: slices(channels) as u32,
            taps: conv.taps() as u32,
            inputs: conv.channels_per_group() as u32,
            outputs: conv.out_channels as u32,
            row_inputs: own.row_inputs as u32,
            row_outputs: own.row_outputs as u32,
            d_mul: composed.unwrap_or(1) as u32,
            ..params::Load::default()
        };
        let (target, length) = match step.part {
            LoadedPart::Kernel => (Resource::Kernel(step.kernel), own.len()),
            LoadedPart::W => {
                params.taps = params.d_mul;
                (params.row_inputs, params.row_outputs) = (params.inputs, params.outputs);
                (Resource::W(step.kernel), conv.out_channels * conv.channels_per_group() * composed.unwrap_or(1))
            }
            LoadedPart::D => {
                params.row_outputs = conv.in_channels as u32;
                (Resource::D(step.kernel), conv.in_channels * conv.taps() * composed.unwrap_or(1))
            }
            LoadedPart::Bias => (Resource::Bias(step.kernel), 4 * slices(conv.out_channels)),
        };
        let (row, invocations) = flat(length);
        (params.row, params.length) = (row, length as u32);
        let label = format!("{} loaded", self.plan.value(step.input).name);
        let bindings = vec![(1, Resource::Map(step.input)), (2, target)];
        dispatch(&label, Shader::Train(TrainShader::Load(step.part)), &params, bindings, invocations)
    }

    /// What sums over batch and pixels need to know, and how these are cut into parts.
    fn norm_params(&self, input: ValueId, eps: f32) -> (params::NormSums, Split) {
        let [n, c, h, w] = self.shape(input);
        let (pixels, slices) = (n * h * w, slices(c));
        let split = Split::new(pixels, slices, 32 * slices, 1, self.policy.tier);
        let params = params::NormSums {
            pixels: pixels as u32,
            part_pixels: split.terms as u32,
            parts: split.parts as u32,
            area: (h * w) as u32,
            slices: slices as u32,
            eps,
        };
        (params, split)
    }

    fn statistics(&self, input: ValueId, output: ValueId) -> Result<Vec<Dispatch>> {
        let (params, split) = self.norm_params(input, 0.0);
        let slices = params.slices as usize;
        let parts = Resource::Scratch(Place::First, (32 * slices * split.parts) as u64);
        let label = &self.plan.value(output).name;
        let of = |shader, bindings, invocations| dispatch(label, Shader::Train(shader), &params, bindings, invocations);
        Ok(vec![
            of(TrainShader::BatchStatistics, vec![(1, Resource::Map(input)), (2, parts)], [slices, split.parts, 1])?,
            of(TrainShader::JoinStatistics, vec![(1, parts), (2, Resource::Map(output))], [slices, 1, 1])?,
        ])
    }

    fn normalise(&self, step: &Normalise) -> Result<Dispatch> {
        let [n, c, h, w] = self.shape(step.input);
        let (slices, area) = (slices(c), h * w);
        let (_, [lower, upper]) = ActivationClass::of(step.activation);
        let params = params::Normalise {
            maps: (n * slices) as u32,
            area: area as u32,
            slices: slices as u32,
            residual: step.residual.is_some().into(),
            eps: step.eps,
            lower,
            upper,
        };
        // Something has to be bound as the residual even if there is none.
        let residual = step.residual.unwrap_or(step.input);
        let bound = vec![(1, step.input), (2, step.statistics), (3, step.affine), (4, residual), (5, step.output)];
        self.maps_dispatch(Shader::Train(TrainShader::Normalise), &params, bound, [area, n * slices, 1])
    }

    fn norm_sums(&self, step: &NormSums) -> Result<Vec<Dispatch>> {
        let (params, split) = self.norm_params(step.input, step.eps);
        let slices = params.slices as usize;
        let label = &self.plan.value(step.output).name;
        self.in_parts(split, 2 * slices, step.output, |parts| {
            let maps = [(1, step.input), (2, step.statistics), (3, step.grad_output)];
            let maps = maps.map(|(at, value)| (at, Resource::Map(value)));
            let bindings = maps.into_iter().chain([(4, parts)]).collect();
            dispatch(label, Shader::Train(TrainShader::NormSums), &params, bindings, [slices, split.parts, 1])
        })
    }

    fn norm_gradient(&self, step: &NormGradient) -> Result<Dispatch> {
        let [n, c, h, w] = self.shape(step.input);
        let (slices, area) = (slices(c), h * w);
        let params = params::NormGradient {
            maps: (n * slices) as u32,
            area: area as u32,
            slices: slices as u32,
            eps: step.eps,
            count: (n * area) as f32,
        };
        let bound = vec![
            (1, step.input),
            (2, step.statistics),
            (3, step.affine),
            (4, step.sums),
            (5, step.grad_output),
            (6, step.output),
        ];
        self.maps_dispatch(Shader::Train(TrainShader::NormGradient), &params, bound, [area, n * slices, 1])
    }

    fn pool_gradient(&self, step: &PoolGradient) -> Result<Dispatch> {
        let [n, c, height, width] = self.shape(step.pool.input);
        let maps = n * slices(c);
        let params = self.pool_params(&step.pool);
        let shader = Shader::Train(TrainShader::PoolGradient(step.pool.kind));
        let bound = vec![(1, step.pool.input), (2, step.grad_output), (3, step.output)];
        self.maps_dispatch(shader, &params, bound, [height * width, maps, 1])
    }

    fn cross_entropy(&self, gradient: bool, [logits, targets, output]: [ValueId; 3]) -> Result<Dispatch> {
        let [items, classes, ..] = self.shape(logits);
        let stride = 4 * slices(classes) as u32;
        let params = params::CrossEntropy { items: items as u32, classes: classes as u32, stride };
        let shader = Shader::Train(TrainShader::CrossEntropy { gradient });
        self.maps_dispatch(shader, &params, vec![(1, logits), (2, targets), (3, output)], [items, 1, 1])
    }

    fn reduce(&self, input: ValueId, output: ValueId) -> Result<Dispatch> {
        let (from, to) = (self.shape(input), self.shape(output));
        let [n, c, height, width] = to;
        let each = |axis: usize| (from[axis] / to[axis]) as u32;
        let maps = n * slices(c);
        let params = params::Reduce {
            maps: maps as u32,
            area: (height * width) as u32,
            width: width as u32,
            slices: slices(c) as u32,
            items: each(0),
            rows: each(2),
            columns: each(3),
            in_height: from[2] as u32,
            in_width: from[3] as u32,
            in_slices: slices(from[1]) as u32,
            in_channels: from[1] as u32,
        };
        let shader = Shader::Train(TrainShader::Reduce { channels: from[1] != c });
        self.maps_dispatch(shader, &params, vec![(1, input), (2, output)], [height * width, maps, 1])
    }

    /// Every value by itself, because what lies between values and beyond their channels does not count.
    fn square_sum(&self, inputs: &[ValueId], output: ValueId) -> Result<Vec<Dispatch>> {
        /// Vectors that pay for a workgroup, and most workgroups.
        const PART: usize = 1024;
        const PARTS: usize = 256;
        let parts_of = |input: &ValueId| (map_len(self.shape(*input)) / 4).div_ceil(PART).min(PARTS);
        let total: usize = inputs.iter().map(parts_of).sum();
        let parts = Resource::Scratch(Place::First, 4 * total as u64);
        let label = &self.plan.value(output).name;
        let of = |join, params: params::SquareSum, bindings| {
            let shader = Shader::Train(TrainShader::SquareSum { join });
            let invocations = [params.parts as usize * shader.workgroup()[0] as usize, 1, 1];
            dispatch(label, shader, &params, bindings, invocations)
        };
        let (mut dispatches, mut first) = (vec![], 0);
        for input in inputs {
            let (count, shape @ [_, channels, height, width]) = (parts_of(input), self.shape(*input));
            let params = params::SquareSum {
                length: (map_len(shape) / 4) as u32,
                area: (height * width) as u32,
                slices: slices(channels) as u32,
                channels: channels as u32,
                parts: count as u32,
                first,
            };
            dispatches.push(of(false, params, vec![(1, Resource::Map(*input)), (2, parts)])?);
            first += count as u32;
        }
        let params = params::SquareSum { length: first, parts: 1, ..params::SquareSum::default() };
        dispatches.push(of(true, params, vec![(1, parts), (2, Resource::Map(output))])?);
        Ok(dispatches)
    }

    /// How many vectors an arena has.
    fn arena_len(&self, arena: ArenaId) -> usize {
        let memory = self.plan.memory(self.batch, map_len);
        memory.sizes[memory.arena(self.plan, arena)] / 4
    }

    fn update(&self, step: &Update) -> Result<Dispatch> {
        let length = self.arena_len(step.parameters);
        let (row, invocations) = flat(length);
        let decayed = decayed(self.plan, &self.plan.memory(self.batch, map_len), step).unwrap_or(length);
        let params = params::Update { row, length: length as u32, decayed: decayed as u32 };
        let moments = step.moments.iter().zip(4..).map(|(&arena, at)| (at, Resource::Arena(arena)));
        let squares = step.squares.map(|squares| (6, Resource::Map(squares)));
        let bindings = vec![
            (1, Resource::Map(step.hyperparameters)),
            (2, Resource::Arena(step.gradients)),
            (3, Resource::Arena(step.parameters)),
        ];
        let bindings = bindings.into_iter().chain(moments).chain(squares).collect();
        let shader = Shader::Train(TrainShader::Update { rule: step.rule, clips: step.squares.is_some() });
        dispatch("the optimiser", shader, &params, bindings, invocations)
    }
}

/// How many vectors of the parameters decay, unless all do.
fn decayed(plan: &crate::plan::Plan, memory: &Memory, step: &Update) -> Option<usize> {
    let first_other = plan.arena(step.parameters).get(step.decayed)?;
    Some(memory.offset_of(*first_other) / 4)
}
