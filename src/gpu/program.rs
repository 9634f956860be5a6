//! A plan lowered for a batch size: dispatches, made without a device.

use std::ops::Range;

use super::kernels::conv::{KernelLayouts, lower_pair, transform};
use super::kernels::{Context, fold, in_precision, lower};
use super::policy::Policy;
use super::shader::{Dispatch, ShaderKey, map_len};
use crate::plan::{KernelId, Memory, Plan, Step, ValueId};
use crate::{Error, Precision, Result};

/// Everything that a run of a batch does.
#[derive(Clone, Debug)]
pub struct Program {
    /// How many images.
    pub batch: usize,
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// Which dispatches belong to which steps.
    pub segments: Vec<Segment>,
    /// Values that are never written: what lies between two convolutions that run as one.
    pub unwritten: Vec<ValueId>,
}

/// The dispatches of a step, or of two that run as one.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which steps of the plan.
    pub steps: Range<usize>,
    /// Which dispatches of the program.
    pub dispatches: Range<usize>,
}

impl Program {
    /// Lowers a plan.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for gradients in half precision.
    pub fn new(plan: &Plan, batch: usize, policy: &Policy, layouts: &KernelLayouts) -> Result<Self> {
        if policy.precision != Precision::F32 && plan.steps().iter().any(is_of_gradients) {
            let name = policy.precision.name();
            let reason = format!("gradients are computed in f32, not in {name}; use precision `f32`");
            return Err(Error::Unsupported(reason));
        }
        let cx = Context { plan, batch, policy, layouts };
        let mut program = Self { batch, dispatches: vec![], segments: vec![], unwritten: vec![] };
        let mut index = 0;
        while let Some(step) = plan.steps().get(index) {
            let first = program.dispatches.len();
            let count = match lower_pair(&cx, index) {
                Some(pair) => {
                    program.dispatches.push(in_precision(pair.dispatch, policy.precision));
                    program.unwritten.push(pair.between);
                    2
                }
                None => {
                    program.dispatches.extend(lower(&cx, step)?);
                    1
                }
            };
            let (steps, dispatches) = (index..index + count, first..program.dispatches.len());
            program.segments.push(Segment { steps, dispatches });
            index += count;
        }
        Ok(program)
    }

    /// Its values in as few and as small buffers as their lifetimes allow, in vectors' elements.
    pub fn memory(&self, plan: &Plan) -> Memory {
        plan.memory_without(&self.unwritten, self.batch, map_len)
    }

    /// The shader families, each once, in the order of their first use.
    pub fn kernels(&self) -> Vec<&'static str> {
        let mut names = vec![];
        for dispatch in &self.dispatches {
            let name = dispatch.shader.kernel.name;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// What is done to a plan's kernels once, when they are loaded.
#[derive(Clone, Debug)]
pub struct KernelSetup {
    /// Transforms plain kernels for Winograd convolution.
    pub transform: Vec<Dispatch>,
    /// Composes kernels from W and D.
    pub fold: Vec<Dispatch>,
}

impl KernelSetup {
    /// That of a plan.
    ///
    /// # Errors
    /// Those of [`Program::new`].
    pub fn new(plan: &Plan, policy: &Policy, layouts: &KernelLayouts) -> Result<Self> {
        Ok(Self { transform: transform(plan, layouts, policy), fold: fold(plan, layouts)? })
    }

    /// All of it.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.transform.iter().chain(&self.fold)
    }

    /// What is done to one kernel.
    pub fn of(&self, kernel: KernelId) -> impl Iterator<Item = &Dispatch> {
        let writes = move |dispatch: &&Dispatch| {
            dispatch.bindings.iter().any(|(_, resource)| *resource == super::shader::Resource::Kernel(kernel))
        };
        self.dispatches().filter(writes)
    }
}

/// The distinct shaders of dispatches.
pub fn shaders<'a>(dispatches: impl Iterator<Item = &'a Dispatch>) -> Vec<ShaderKey> {
    let mut keys: Vec<ShaderKey> = vec![];
    for dispatch in dispatches {
        if !keys.contains(&dispatch.shader) {
            keys.push(dispatch.shader.clone());
        }
    }
    keys
}

fn is_of_gradients(step: &Step) -> bool {
    use Step::{BiasGradient, ComposeGradient, KernelGradient, PadGradient, Train, Transpose};
    matches!(
        step,
        KernelGradient(_) | BiasGradient { .. } | ComposeGradient(_) | PadGradient(_) | Transpose(_) | Train(_)
    )
}
