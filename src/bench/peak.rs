//! What an adapter can do at most, so that everything else can be said in per cent of it.

use std::time::Duration;

use super::Check;
use super::sampling::milliseconds;
use crate::gpu::shader::Scalar;
use crate::{Adapter, Result, cpu, gpu};

/// Bytes that are copied: what every browser can bind, and more than most caches hold.
const COPIED_BYTES: usize = 128 << 20;
/// A run of chains takes about so long, or up to twice: far more than handing it over, and far less than what drivers take
/// for a hang.
const RUN_MS: f64 = 5.0;
/// Rounds at most: with more, sums would not be exact any more.
const MOST_ROUNDS: usize = 1024;
/// Invocations at first and at most. The most are several times what the largest GPUs hold at once.
const INVOCATIONS: [usize; 2] = [1 << 10, 1 << 20];

/// One limit of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceiling {
    /// Single-precision arithmetic.
    F32,
    /// Half-precision arithmetic.
    F16,
    /// Copying in memory.
    Copy,
    /// Dispatches one after the other.
    Dispatch,
}

impl Ceiling {
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Copy, Self::Dispatch];

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Copy => "copy",
            Self::Dispatch => "dispatch",
        }
    }

    /// Whether an adapter has it.
    pub fn is_on(self, adapter: &Adapter) -> bool {
        match (self, adapter.gpu()) {
            (Self::F32 | Self::Copy, _) => true,
            (Self::F16, device) => device.is_some_and(gpu::Device::has_f16),
            (Self::Dispatch, device) => device.is_some(),
        }
    }
}

/// A limit that is ready to be measured.
pub(super) struct Peak {
    work: Work,
    /// Runs of the last call.
    repeats: usize,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes that a run reads and writes.
    pub bytes: u64,
}

enum Work {
    Cpu(cpu::peak::Fma, Chains),
    CpuCopy(cpu::peak::Copy),
    Gpu(gpu::Peak, Chains),
    GpuCopy(gpu::Peak),
    GpuCount(gpu::Peak),
}

/// Chains of additions of one. Chain c of an invocation starts, lane by lane and round by round, at
/// `invocation mod 4 + lane + c + round mod 4`.
#[derive(Clone, Copy, Debug)]
struct Chains {
    chains: usize,
    lanes: usize,
    steps: usize,
    rounds: usize,
}

impl Chains {
    fn macs(self, invocations: usize) -> u64 {
        [self.chains, self.lanes, self.steps, self.rounds].iter().fold(invocations as u64, |macs, &n| macs * n as u64)
    }

    /// The sum of where all chains have ended in all rounds; a whole number that `f32` has.
    fn total(self, invocation: usize, lane: usize) -> f64 {
        let Self { chains, steps, rounds, .. } = self;
        let of_rounds = rounds / 4 * 6 + [0, 0, 1, 3][rounds % 4];
        (rounds * chains * (invocation % 4 + lane + steps) + rounds * chains * (chains - 1) / 2 + chains * of_rounds)
            as f64
    }

    fn check(self, totals: &[f32]) -> Check {
        let want = |at: usize| self.total(at / self.lanes, at % self.lanes);
        exactly("closed form", totals.iter().enumerate().map(|(at, &got)| f64::from(got) - want(at)))
    }
}

impl Peak {
    /// Makes it ready, with as much work as suits the adapter.
    pub async fn new(adapter: &Adapter, ceiling: Ceiling) -> Result<Self> {
        let words = || (0..(COPIED_BYTES / 4) as u32).collect::<Vec<_>>();
        let ready = |work, macs, bytes| Ok(Self { work, repeats: 0, macs, bytes });
        let copied = 2 * COPIED_BYTES as u64;
        match (adapter.gpu(), ceiling) {
            (None, Ceiling::Copy) => ready(Work::CpuCopy(cpu::peak::Copy::new(&words())?), 0, copied),
            (None, _) => {
                let (fma, chains) = on_cpu();
                let results = fma.totals().len();
                ready(Work::Cpu(fma, chains), chains.macs(results / chains.lanes), 4 * results as u64)
            }
            (Some(device), Ceiling::Copy) => ready(Work::GpuCopy(gpu::Peak::copy(device, &words()).await?), 0, copied),
            (Some(device), Ceiling::Dispatch) => ready(Work::GpuCount(gpu::Peak::count(device).await?), 0, 8),
            (Some(device), Ceiling::F32 | Ceiling::F16) => {
                let scalar = if ceiling == Ceiling::F32 { Scalar::F32 } else { Scalar::F16 };
                let (fma, chains, invocations) = on_gpu(device, scalar).await?;
                let bytes = (4 * chains.lanes * invocations) as u64;
                ready(Work::Gpu(fma, chains), chains.macs(invocations), bytes)
            }
        }
    }

    /// What computes.
    pub fn kernel(&self) -> &'static str {
        match &self.work {
            Work::Cpu(..) | Work::CpuCopy(_) => "cpu",
            Work::Gpu(peak, _) | Work::GpuCopy(peak) | Work::GpuCount(peak) => peak.kernel(),
        }
    }

    /// The time of so many runs, at least one.
    pub async fn time(&mut self, repeats: usize) -> Result<Duration> {
        self.repeats = repeats.max(1);
        match &mut self.work {
            Work::Cpu(fma, _) => Ok(fma.time(self.repeats)),
            Work::CpuCopy(copy) => Ok(copy.time(self.repeats)),
            Work::Gpu(peak, _) | Work::GpuCopy(peak) | Work::GpuCount(peak) => peak.time(self.repeats).await,
        }
    }

    /// Whether the last runs did what they should.
    pub async fn check(&self) -> Result<Check> {
        match &self.work {
            Work::Cpu(fma, chains) => Ok(chains.check(fma.totals())),
            Work::CpuCopy(copy) => Ok(is_copy(copy.words())),
            Work::Gpu(peak, chains) => peak.read(|bytes| chains.check(bytemuck::cast_slice(bytes))).await,
            Work::GpuCopy(peak) => peak.read(|bytes| is_copy(bytemuck::cast_slice(bytes))).await,
            Work::GpuCount(peak) => peak.read(|bytes| is_count(bytemuck::cast_slice(bytes), self.repeats)).await,
        }
    }
}

fn on_cpu() -> (cpu::peak::Fma, Chains) {
    use cpu::peak::Fma;
    let mut rounds = 1;
    loop {
        let mut fma = Fma::new(rounds);
        if rounds >= MOST_ROUNDS || is_long_enough(&[fma.time(1), fma.time(1)]) {
            let chains = Chains { chains: Fma::CHAINS, lanes: fma.lanes(), steps: Fma::STEPS, rounds };
            return (fma, chains);
        }
        rounds *= 2;
    }
}

/// Invocations first, until the device is full.
async fn on_gpu(device: &gpu::Device, scalar: Scalar) -> Result<(gpu::Peak, Chains, usize)> {
    let [mut invocations, most] = INVOCATIONS;
    let mut rounds = 1;
    loop {
        let fma = gpu::Peak::fma(device, scalar, invocations, rounds).await?;
        let is_most = invocations >= most && rounds >= MOST_ROUNDS;
        if is_most || is_long_enough(&[fma.time(1).await?, fma.time(1).await?]) {
            let (lanes, steps) = (gpu::Peak::LANES, gpu::Peak::STEPS);
            let chains = Chains { chains: gpu::Peak::chains(device), lanes, steps, rounds };
            return Ok((fma, chains, invocations));
        }
        *(if invocations < most { &mut invocations } else { &mut rounds }) *= 2;
    }
}

/// The shortest counts: others were disturbed.
fn is_long_enough(times: &[Duration]) -> bool {
    times.iter().all(|&time| milliseconds(time) >= RUN_MS)
}

fn is_copy(words: &[u32]) -> Check {
    let differences = words.iter().zip(0u32..).map(|(&got, want)| f64::from(got) - f64::from(want));
    exactly("what was copied", differences)
}

fn is_count(counter: &[u32], dispatches: usize) -> Check {
    exactly("number of dispatches", counter.iter().map(|&got| f64::from(got) - dispatches as f64))
}

/// A check that no difference passes.
fn exactly(reference: &str, differences: impl Iterator<Item = f64>) -> Check {
    // Not a number must not pass for a small difference: `max` would drop it.
    let worst = differences.fold(0.0, |worst: f64, difference| {
        let size = difference.abs();
        if size > worst || size.is_nan() { size } else { worst }
    });
    Check {
        ok: worst == 0.0,
        largest_error: Some(worst).filter(|worst| worst.is_finite()),
        tolerance: 0.0,
        reference: reference.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_what_chains_give() {
        for rounds in [1, 2, 3, 4, 7] {
            let chains = Chains { chains: 3, lanes: 2, steps: 5, rounds };
            for (invocation, lane) in [(0, 0), (6, 1)] {
                let starts =
                    (0..rounds).flat_map(|round| (0..3).map(move |chain| invocation % 4 + lane + chain + round % 4));
                let sum: usize = starts.map(|start| start + 5).sum();
                assert_eq!(chains.total(invocation, lane), sum as f64);
            }
        }
    }

    #[test]
    fn a_chain_with_a_step_too_few_is_found() {
        let (mut fma, chains) = (cpu::peak::Fma::new(5), |lanes| Chains { chains: 12, lanes, steps: 1024, rounds: 5 });
        let chains = chains(fma.lanes());
        fma.time(2);
        let right = fma.totals().to_vec();
        assert_eq!((chains.check(&right).ok, chains.check(&right).largest_error), (true, Some(0.0)));
        for (at, wrong) in [(0, -1.0), (right.len() - 1, 1.0), (1, f32::NAN), (1, f32::INFINITY)] {
            let mut totals = right.clone();
            totals[at] += wrong;
            // What comes after not-a-number must not make up for it.
            assert!(!chains.check(&totals).ok, "{at}");
        }
        assert!(!Chains { steps: 1023, ..chains }.check(&right).ok && !Chains { rounds: 4, ..chains }.check(&right).ok);
        assert!(!chains.check(&vec![0.0; right.len()]).ok, "nothing was done");
    }

    #[test]
    fn the_most_is_exact() {
        let most = Chains { chains: 12, lanes: 16, steps: 1024, rounds: MOST_ROUNDS };
        assert!(most.total(3, 15) < f64::from(1 << 24), "{}", most.total(3, 15));
    }

    #[test]
    fn words_that_are_not_copied_are_found() {
        let words: Vec<u32> = (0..10_000).collect();
        let mut copy = cpu::peak::Copy::new(&words).unwrap();
        copy.time(1);
        assert!(is_copy(copy.words()).ok);
        let mut wrong = words.clone();
        wrong.swap(5000, 5001);
        assert!(!is_copy(&wrong).ok && !is_copy(&vec![0; 10_000]).ok);
        assert!(is_count(&[7], 7).ok && !is_count(&[6], 7).ok && !is_count(&[0], 1).ok);
    }
}
