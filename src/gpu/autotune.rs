//! Autotuning: finding out which kernels are the fastest for a network on a device, by timing them there.
//!
//! Layer by layer: what could run it is made ready ([`search_space`]), compared with the CPU path, and timed by itself, in
//! enough repetitions for any clock. What is best by itself need not be best between its neighbours, with what they leave
//! in the caches; so where two are close, both are timed once more in the whole network.
//!
//! What comes out is a [`TuningTable`](super::policy::TuningTable), which a [`TuningFile`](super::policy::TuningFile) keeps. Tables are
//! for the precision in which they were timed.

use super::device::{Device, TuneEvent};
use super::executor::Executor;
use super::kernels::conv::{KernelLayouts, search_space};
use super::policy::{KernelConfig, Policy, layer};
use super::verify::Problem;
use crate::plan::{Plan, Step};
use crate::{Error, Result};

/// A sample takes so long at least: enough for the clocks of browsers.
const SAMPLE_MS: f64 = 10.0;
/// Samples of which the shortest counts: what disturbs them only makes them longer.
const SAMPLES: usize = 3;
/// What takes so many times as long as the best is timed no further.
const HOPELESS: f64 = 1.5;
/// What is no further behind the best than this is timed in the whole network, too.
const CLOSE: f64 = 1.1;
/// Beyond so many, only those are that would gain most.
const MOST_REMATCHES: usize = 8;
/// A gain below this is none.
const WORTH_IT: f64 = 0.99;

/// A layer where two configurations are close.
struct Rematch {
    layer: String,
    second: KernelConfig,
    /// Milliseconds of the layer, wherever it is in the network: what can be gained is a part of this.
    weight: f64,
}

/// Times whatever of a plan's convolutions has not been tuned on this device, which then knows the best configurations;
/// nothing, unless autotuning was asked for.
pub(crate) async fn tune(device: &Device, plan: &Plan) -> Result<()> {
    let Some(listener) = device.tunes() else { return Ok(()) };
    let tell = |event: TuneEvent<'_>| listener.tell(event);
    let layers = untuned(device, plan);
    // Where kernels must lie as they are, half of the configurations could not be taken.
    if layers.is_empty() || plan.reads_kernels() {
        return Ok(());
    }
    let before = device.policy();
    let mut policy = before.clone();
    let mut rematches = vec![];
    let total = layers.len();
    for (done, Layer { name, first, count }) in layers.iter().enumerate() {
        tell(TuneEvent::Step { label: name, done, total });
        let Some(part) = plan.part(*first, 1) else { continue };
        let ranked = rank(device, &part, name, &policy).await?;
        let Some(&(best_ms, best)) = ranked.first() else { continue };
        log::info!("{name}: {best} is the fastest, {best_ms:.3} ms");
        policy.tuning.insert(name, best);
        if let Some(&(ms, second)) = ranked.get(1)
            && ms <= CLOSE * best_ms
        {
            let rematch = Rematch { layer: name.clone(), second, weight: ms * *count as f64 };
            let at = rematches.partition_point(|other: &Rematch| other.weight >= rematch.weight);
            rematches.insert(at, rematch);
            rematches.truncate(MOST_REMATCHES);
        }
    }

    let (inputs, mut run) = (random_inputs(plan), Executor::with_policy(device, plan, 1, policy.clone()).await?);
    for (at, Rematch { layer, second, .. }) in rematches.iter().enumerate() {
        tell(TuneEvent::Step { label: layer, done: total, total: total + rematches.len() - at });
        let mut other = policy.clone();
        other.tuning.insert(layer, *second);
        let mut rival = Executor::with_policy(device, plan, 1, other.clone()).await?;
        let [ms, rival_ms] = against(&mut run, &mut rival, &inputs).await?;
        if rival_ms < WORTH_IT * ms {
            log::info!("{layer}: {second} in the whole network, {rival_ms:.2} instead of {ms:.2} ms");
            (policy, run) = (other, rival);
        }
    }
    let mut usual = Executor::with_policy(device, plan, 1, before).await?;
    let network_ms = against(&mut usual, &mut run, &inputs).await?;
    for Layer { name, .. } in &layers {
        if let Some((_, config)) = policy.tuning.iter().find(|(layer, _)| layer == name) {
            device.found_best(name, config);
        }
    }
    tell(TuneEvent::Finished { tuned: &device.timed(), layers: total, network_ms });
    Ok(())
}

/// A convolution that is to be timed.
struct Layer {
    name: String,
    /// The step that is timed.
    first: usize,
    /// How many there are of the kind.
    count: usize,
}

/// Each kind of convolution once, without those that have been tuned here and those that run together with another.
fn untuned(device: &Device, plan: &Plan) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![];
    let mut steps = plan.steps().iter().enumerate();
    while let Some((first, step)) = steps.next() {
        if plan.feature_pair(first).is_some() {
            steps.next();
            continue;
        }
        let Step::Conv(conv) = step else { continue };
        let [_, _, height, width] = plan.value(conv.output).shape;
        let name = layer(&conv.conv, [height, width]);
        match layers.iter_mut().find(|layer| layer.name == name) {
            Some(layer) => layer.count += 1,
            None if device.has_tuned(&name) => {}
            None => layers.push(Layer { name, first, count: 1 }),
        }
    }
    layers
}

/// What can run a convolution, with its milliseconds, the fastest first. What computes wrong results is not among it.
async fn rank(device: &Device, part: &Plan, name: &str, policy: &Policy) -> Result<Vec<(f64, KernelConfig)>> {
    let mut ranked: Vec<(f64, KernelConfig)> = vec![];
    for config in search_space(part, policy) {
        let mut policy = policy.clone();
        policy.tuning.insert(name, config);
        let bound = ranked.first().map_or(f64::INFINITY, |(ms, _)| *ms);
        match trial(device, part, policy, bound).await {
            Ok(Some(ms)) => {
                log::debug!("{name}: {config}, {ms:.3} ms");
                // Sorting at the end would be some kilobytes of every visit of the page.
                ranked.insert(ranked.partition_point(|(other, _)| *other <= ms), (ms, config));
            }
            Ok(None) => log::warn!("{name}: `{config}` computes wrong results here, and is left out"),
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            // What an adapter cannot run is no candidate on it.
            Err(error) => log::info!("{name}: `{config}` is left out: {error}"),
        }
    }
    Ok(ranked)
}

/// The milliseconds of one run, if it computes what it should.
async fn trial(device: &Device, part: &Plan, policy: Policy, bound: f64) -> Result<Option<f64>> {
    let layouts = KernelLayouts::new(part, &policy);
    let problem = Problem::new(part, 1, policy.precision, &layouts)?;
    let mut executor = Executor::of_program(device, &problem.plan, 1, policy, layouts).await?;
    if problem.difference(&mut executor).await?.ratio > 1.0 {
        return Ok(None);
    }
    let inputs = problem.inputs();
    let repeats = repeats(&mut executor, &inputs).await?;
    let mut best = f64::INFINITY;
    for _ in 0..SAMPLES {
        best = best.min(sample(&mut executor, &inputs, repeats).await?);
        if best > HOPELESS * bound {
            break;
        }
    }
    Ok(Some(best))
}

/// The milliseconds of one run of each, timed in turn: what comes and goes on the machine meets both.
async fn against(a: &mut Executor, b: &mut Executor, inputs: &[Vec<f32>]) -> Result<[f64; 2]> {
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let repeats = [repeats(a, &inputs).await?, repeats(b, &inputs).await?];
    let mut best = [f64::INFINITY; 2];
    for _ in 0..SAMPLES {
        best[0] = best[0].min(sample(a, &inputs, repeats[0]).await?);
        best[1] = best[1].min(sample(b, &inputs, repeats[1]).await?);
    }
    Ok(best)
}

/// How many runs a sample needs.
async fn repeats(executor: &mut Executor, inputs: &[&[f32]]) -> Result<usize> {
    // The first run of a program is slower than all others.
    sample(executor, inputs, 1).await?;
    let ms = sample(executor, inputs, 1).await?;
    Ok((SAMPLE_MS / ms.max(1e-3)).ceil() as usize)
}

async fn sample(executor: &mut Executor, inputs: &[&[f32]], repeats: usize) -> Result<f64> {
    let (elapsed, _) = executor.repeat(1, inputs, repeats).await?;
    Ok(1e3 * elapsed.as_secs_f64() / repeats as f64)
}

fn random_inputs(plan: &Plan) -> Vec<Vec<f32>> {
    let mut random = oorandom::Rand32::new(5);
    let length = |&id| plan.value(id).shape.iter().product::<usize>();
    plan.inputs().iter().map(|id| (0..length(id)).map(|_| random.rand_float() - 0.5).collect()).collect()
}
