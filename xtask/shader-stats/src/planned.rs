//! Which shaders networks use on hardware adapters.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use doconv::gpu::kernels::conv::KernelLayouts;
use doconv::gpu::policy::{Policy, Tier};
use doconv::gpu::program::{KernelSetup, Program};
use doconv::network::zoo;
use doconv::plan::{Decay, Plan, Recipe, Rule, TrainingPlan};
use doconv::{Bundled, Mode, Model, Network, Precision, Tensor};

use crate::layers;

/// WGSL modules by the names of the shaders, for every network, batch, mode and precision.
pub fn shaders(filter: &str) -> Result<BTreeMap<String, String>> {
    let mut shaders = BTreeMap::new();
    let mut take = |plan: &Plan, batch: usize, precision: Precision| {
        add(plan, batch, precision, filter, &mut shaders).with_context(|| format!("in {}", precision.name()))
    };
    for (name, model, modes) in models()? {
        for &mode in modes {
            let plan = Plan::new(&model, mode).with_context(|| name.clone())?;
            for (batch, precision) in [1, 32].into_iter().flat_map(|batch| Precision::ALL.map(|it| (batch, it))) {
                take(&plan, batch, precision).with_context(|| format!("{name}, batch {batch}"))?;
            }
        }
    }
    // Gradients are computed in single precision only, and a plan of a training step is for one batch.
    for name in ["resnet20", "mobilenet_v2"] {
        take(&training_step(name)?, 1, Precision::F32)?;
    }
    Ok(shaders)
}

/// The one place that asks the library what it runs.
fn add(
    plan: &Plan,
    batch: usize,
    precision: Precision,
    filter: &str,
    shaders: &mut BTreeMap<String, String>,
) -> Result<()> {
    let policy = Policy { precision, ..Tier::Hardware.into() };
    let layouts = KernelLayouts::new(plan, &policy);
    let setup = KernelSetup::new(plan, &policy, &layouts)?;
    let program = Program::new(plan, batch, &policy, &layouts)?;
    for dispatch in setup.dispatches().chain(&program.dispatches) {
        let name = dispatch.shader.to_string();
        if name.contains(filter) {
            shaders.entry(name).or_insert_with(|| dispatch.shader.wgsl());
        }
    }
    Ok(())
}

/// Networks with their names, and the modes that are worth the time.
fn models() -> Result<Vec<(String, Model, &'static [Mode])>> {
    let mut models = vec![];
    for (name, modes) in [("resnet18", &Mode::ALL[..]), ("mobilenet_v2", &Mode::ALL), ("resnet50", &[Mode::Folded])] {
        let model = untrained(zoo::build(name)?)?;
        let model = if modes.len() > 1 { model.expand(None, 0.0, 1)? } else { model };
        models.push((name.into(), model, modes));
    }
    models.push(("the bundled network".into(), Bundled::ImageNet.model()?.expand(None, 0.0, 1)?, &Mode::ALL[..]));
    for (name, network) in layers::composed() {
        models.push((name, untrained(network)?.expand(None, 0.0, 1)?, &Mode::ALL));
    }
    for (name, network) in layers::networks() {
        models.push((name, untrained(network)?, &[Mode::Folded]));
    }
    Ok(models)
}

/// Plans do not depend on weights.
fn untrained(network: Network) -> Result<Model> {
    let weights = network.parameters().into_iter().map(|(name, shape)| (name, Tensor::zeros(shape))).collect();
    Ok(Model::new(network, weights)?)
}

fn training_step(name: &str) -> Result<Plan> {
    let model = untrained(zoo::build(name)?)?.expand(None, 0.0, 1)?;
    let rule = Rule::Sgd { nesterov: false };
    let recipe = Recipe { batch: 64, rule, decay: Decay::All, clips: true, accumulates: false };
    Ok(TrainingPlan::new(&model, recipe, &|_| true).with_context(|| format!("a training step of {name}"))?.plan)
}
