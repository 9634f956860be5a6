//! Activations on vectors, and what convolutions do last.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::{Sigmoid, Silu, Tanh};

use crate::network::Activation;

/// Lanes of the vectors that the best instruction set of this machine has for `f32`.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl SimdOp for Lanes {
        type Output = usize;
        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) -> usize {
            isa.f32().len()
        }
    }
    Lanes.dispatch()
}

/// What becomes of an accumulator before it is stored.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    /// Stored as it is.
    Keep,
    /// Clamped while it is still in a register.
    Clamp(f32, f32),
    /// Stored, and transformed by a second pass over what a task has just stored, while it is in the cache: exp needs
    /// too many registers to be done next to the accumulators, and would be compiled for every size of tile.
    Then(Activation),
}

impl Finish {
    pub(super) fn new(activation: Option<Activation>) -> Self {
        let Some(activation) = activation else { return Finish::Keep };
        match activation.bounds() {
            Some([low, high]) => Finish::Clamp(low, high),
            None => Finish::Then(activation),
        }
    }
}

/// Clamps so that not-a-number stays what it is: x86 gives the second operand of an unordered pair.
#[inline(always)]
pub(super) fn clamp<I: Isa>(isa: I, x: I::F32, low: f32, high: f32) -> I::F32 {
    let ops = isa.f32();
    ops.min(ops.splat(high), ops.max(ops.splat(low), x))
}

/// The activation of every lane.
#[inline(always)]
fn activate<I: Isa>(isa: I, activation: Activation, x: I::F32) -> I::F32 {
    let ops = isa.f32();
    match activation {
        Activation::Relu | Activation::Relu6 | Activation::Clip { .. } => match activation.bounds() {
            Some([low, high]) => clamp(isa, x, low, high),
            None => x,
        },
        Activation::LeakyRelu { slope } => {
            let (positive, negative) = (ops.max(ops.zero(), x), ops.min(ops.zero(), x));
            ops.mul_add(negative, ops.splat(slope), positive)
        }
        Activation::HardSigmoid => ramp(isa, x, 1.0 / 6.0, 0.5),
        Activation::HardSwish => ops.mul(x, ramp(isa, x, 1.0 / 6.0, 0.5)),
        Activation::Ramp { slope, offset } => ramp(isa, x, slope, offset),
        Activation::Sigmoid => Sigmoid {}.eval(isa, x),
        Activation::Silu => Silu {}.eval(isa, x),
        Activation::Tanh => Tanh {}.eval(isa, x),
    }
}

#[inline(always)]
fn ramp<I: Isa>(isa: I, x: I::F32, slope: f32, offset: f32) -> I::F32 {
    let ops = isa.f32();
    clamp(isa, ops.mul_add(x, ops.splat(slope), ops.splat(offset)), 0.0, 1.0)
}

/// Applies an activation to every value.
#[inline(always)]
fn activate_slice<I: Isa>(isa: I, activation: Activation, values: &mut [f32]) {
    // One loop per activation, so that none is chosen inside a loop.
    match activation {
        Activation::Relu => map(isa, values, Activation::Relu),
        Activation::Relu6 => map(isa, values, Activation::Relu6),
        Activation::Clip { min, max } => map(isa, values, Activation::Clip { min, max }),
        Activation::LeakyRelu { slope } => map(isa, values, Activation::LeakyRelu { slope }),
        Activation::Ramp { slope, offset } => map(isa, values, Activation::Ramp { slope, offset }),
        Activation::HardSwish => map(isa, values, Activation::HardSwish),
        Activation::HardSigmoid => map(isa, values, Activation::HardSigmoid),
        Activation::Sigmoid => map(isa, values, Activation::Sigmoid),
        Activation::Silu => map(isa, values, Activation::Silu),
        Activation::Tanh => map(isa, values, Activation::Tanh),
    }
}

#[inline(always)]
fn map<I: Isa>(isa: I, values: &mut [f32], activation: Activation) {
    let ops = isa.f32();
    let mut chunks = values.chunks_exact_mut(ops.len());
    for chunk in &mut chunks {
        ops.store(activate(isa, activation, ops.load(chunk)), chunk);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let (x, mask) = ops.load_pad(rest);
        let y = activate(isa, activation, x);
        // SAFETY: the mask covers the lanes that `rest` has.
        unsafe { ops.store_ptr_mask(y, rest.as_mut_ptr(), mask) };
    }
}

/// Applies an activation to every value.
pub(super) fn apply(activation: Activation, values: &mut [f32]) {
    struct Apply<'a>(Activation, &'a mut [f32]);
    impl SimdOp for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            activate_slice(isa, self.0, self.1);
        }
    }
    Apply(activation, values).dispatch();
}
