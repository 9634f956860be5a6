//! Which shaders networks use on hardware adapters.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use doconv::gpu::choose::Policy;
use doconv::gpu::{Tier, dispatch};
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
    let once = [dispatch::fold(plan, &policy)?, dispatch::transform(plan, &policy)?];
    for dispatch in once.into_iter().flatten().chain(dispatch::run(plan, batch, &policy)?) {
        let variant = dispatch.variant();
        let name = name(&format!("{:?}", variant.shader), variant.precision);
        if name.contains(filter) {
            shaders.entry(name).or_insert_with(|| variant.wgsl());
        }
    }
    Ok(())
}

/// `conv_tiled slices=2 lanes=4 split=false activation=bounds f32` from `ConvTiled { slices: 2, lanes: 4, … }`.
fn name(debug: &str, precision: Precision) -> String {
    let (family, fields) = debug.split_once(' ').unwrap_or((debug, ""));
    let fields = fields.trim_start_matches("{ ").trim_end_matches(" }").replace(": ", "=").replace(", ", " ");
    let words = [&snake_case(family), fields.as_str(), precision.name()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn snake_case(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && words.chars().next_back().is_some_and(|before| before.is_alphanumeric()) {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_words() {
        let debug = "ConvTiled { slices: 2, split: false, workgroup: [8, 4] }";
        assert_eq!(name(debug, Precision::F16), "conv_tiled slices=2 split=false workgroup=[8 4] f16");
        assert_eq!(name("SumParts", Precision::F32), "sum_parts f32");
    }
}
