//! What this CPU can do at most with the vectors and threads that everything here has, for benchmarks.

use std::hint::black_box;
use std::time::Duration;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};
use web_time::Instant;

use super::activation::lanes;
use super::aligned::Aligned;
use super::{out_of_memory, parallel};
use crate::Result;

/// So many tasks per thread even out what else the machine does.
const TASKS_PER_THREAD: usize = 4;
/// Elements that a task copies.
const CHUNK: usize = 64 * 1024;

/// Independent chains `x ← x · factor + term` in registers. Factor and term are 1, which the compiler does not know: so a
/// chain counts its steps.
pub(crate) struct Fma {
    rounds: usize,
    /// Per task and lane, the sum of where its chains have ended.
    totals: Vec<f32>,
}

impl Fma {
    /// Chains of a task: with factor and term they fill most of the 16 registers of AVX2.
    pub(crate) const CHAINS: usize = 12;
    /// Steps of every chain and round.
    pub(crate) const STEPS: usize = 1024;

    pub(crate) fn new(rounds: usize) -> Self {
        Self { rounds, totals: vec![0.0; parallel::threads() * TASKS_PER_THREAD * lanes()] }
    }

    /// Lanes of every chain.
    pub(crate) fn lanes(&self) -> usize {
        lanes()
    }

    /// The time of so many runs.
    pub(crate) fn time(&mut self, repeats: usize) -> Duration {
        self.totals.fill(0.0);
        let (rounds, lanes) = (self.rounds, self.lanes());
        parallel::enter(|| {
            let start = Instant::now();
            for _ in 0..repeats.max(1) {
                parallel::for_each_chunk(&mut self.totals, lanes, |task, totals| {
                    Chains { rounds, first: task % 4, factor: black_box(1.0), term: black_box(1.0), totals }.dispatch();
                });
            }
            start.elapsed()
        })
    }

    /// What the last run has left.
    pub(crate) fn totals(&self) -> &[f32] {
        &self.totals
    }
}

struct Chains<'a> {
    rounds: usize,
    first: usize,
    factor: f32,
    term: f32,
    totals: &'a mut [f32],
}

impl SimdOp for Chains<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let (factor, term) = (ops.splat(self.factor), ops.splat(self.term));
        let lanes: Vec<f32> = (0..ops.len()).map(|lane| (self.first + lane) as f32).collect();
        let lanes = ops.load(&lanes);
        let mut total = ops.zero();
        for round in 0..self.rounds {
            // Another beginning for every round: a compiler might see that all are the same.
            let mut chains = [lanes; Fma::CHAINS];
            for (chain, x) in chains.iter_mut().enumerate() {
                *x = ops.add(*x, ops.splat((chain + round % 4) as f32));
            }
            for _ in 0..Fma::STEPS {
                for x in &mut chains {
                    *x = ops.mul_add(*x, factor, term);
                }
            }
            for x in chains {
                total = ops.add(total, x);
            }
        }
        ops.store(total, self.totals);
    }
}

/// A buffer and what it is copied into.
pub(crate) struct Copy {
    from: Aligned,
    to: Aligned,
}

impl Copy {
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub(crate) fn new(words: &[u32]) -> Result<Self> {
        let room = || Aligned::try_zeros(words.len()).map_err(|_| out_of_memory("making room for what is copied"));
        let mut from = room()?;
        from[..words.len()].copy_from_slice(bytemuck::cast_slice(words));
        Ok(Self { from, to: room()? })
    }

    /// The time of so many copies.
    pub(crate) fn time(&mut self, repeats: usize) -> Duration {
        self.to.fill(0.0);
        parallel::enter(|| {
            let start = Instant::now();
            for _ in 0..repeats.max(1) {
                parallel::for_each_chunk(&mut self.to, CHUNK, |index, to| {
                    Vectors { from: &self.from[index * CHUNK..][..to.len()], to }.dispatch();
                });
            }
            start.elapsed()
        })
    }

    /// What the last copy has left.
    pub(crate) fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.to)
    }
}

struct Vectors<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl SimdOp for Vectors<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        // Lengths are whole cache lines, and so whole vectors.
        for (from, to) in self.from.chunks_exact(lanes).zip(self.to.chunks_exact_mut(lanes)) {
            ops.store(ops.load(from), to);
        }
    }
}
