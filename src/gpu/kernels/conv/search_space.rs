//! What could be the fastest way to run a convolution.

use super::names;
use super::problem::ConvProblem;
use super::select::{accepts, candidates};
use super::split::{default_parts, most_parts};
use crate::gpu::policy::{KernelConfig, Policy, Tier, Tile};
use crate::plan::{Plan, Step};
use crate::winograd::Winograd;

/// Configurations worth timing for the convolution that a plan consists of: the usual one first, every one once.
pub fn search_space(part: &Plan, policy: &Policy) -> Vec<KernelConfig> {
    let [Step::Conv(step)] = part.steps() else { return vec![] };
    let problem = ConvProblem::of(step, part.value(step.input).shape, part.value(step.output).shape);
    let mut configs = of(&problem, policy);
    if policy.tier == Tier::Hardware && policy.allows(names::SPLIT) {
        let whole = configs.clone();
        configs.extend(whole.iter().flat_map(|config| other_parts(config, &problem, policy)));
    }
    for size in Winograd::ALL.into_iter().filter(|&size| policy.allows(names::winograd(size))) {
        if Winograd::can_run(&step.conv) {
            let products = of(&problem.products(size), policy);
            configs.extend(products.into_iter().map(|config| KernelConfig { winograd: Some(size), ..config }));
        }
    }
    let mut distinct: Vec<KernelConfig> = vec![];
    for config in configs.into_iter().filter(|config| accepts(config, &problem)) {
        if !distinct.contains(&config) {
            distinct.push(config);
        }
    }
    distinct
}

/// Every kernel's default tile and its others, in as many parts as is usual.
fn of(problem: &ConvProblem, policy: &Policy) -> Vec<KernelConfig> {
    let mut configs = vec![];
    for kernel in candidates(problem, policy) {
        if !policy.allows(kernel.name()) || !kernel.is_worth_timing(problem, policy) {
            continue;
        }
        let usual = kernel.default_tile(problem, policy);
        let parts = match policy.allows(names::SPLIT) {
            true => default_parts(kernel, problem, &usual, policy),
            false => 1,
        };
        let config = |tile: Tile| KernelConfig { winograd: None, kernel: kernel.name(), tile };
        configs.push(config(Tile { parts, ..usual }));
        let others = kernel.other_tiles(problem, policy);
        configs.extend(others.into_iter().map(|tile| config(Tile { parts, ..tile })));
    }
    configs
}

/// The same with sums in fewer and in more parts.
fn other_parts(config: &KernelConfig, problem: &ConvProblem, policy: &Policy) -> Vec<KernelConfig> {
    let kernel = candidates(problem, policy).into_iter().find(|kernel| kernel.name() == config.kernel);
    let Some(kernel) = kernel else { return vec![] };
    let parts = config.tile.parts;
    let others = [1, parts / 2, parts * 2, parts * 4].into_iter().filter(|&other| other > 0 && other != parts);
    let possible = others.filter(|&other| other <= most_parts(kernel, problem));
    possible.map(|parts| KernelConfig { tile: Tile { parts, ..config.tile }, ..*config }).collect()
}
