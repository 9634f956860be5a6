//! The optimiser's step over all parameters at once, and gradients that are accumulated for it.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, Resource, ShaderKey, map_len, params};
use crate::plan::{Accumulate, ArenaId, Memory, Plan, Rule, Update};

params! {
    /// Arenas that are added up.
    AccumulateParams { length: u32 }
}

params! {
    /// So many vectors of the parameters decay.
    UpdateParams { length: u32, decayed: u32 }
}

/// Gradients of several runs, added up.
pub static ACCUMULATE: Kernel = Kernel {
    name: "accumulate",
    template: "training/accumulate.wgsl",
    params: AccumulateParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![ACCUMULATE.key([64, 1])],
    ..Kernel::DEFAULT
};

/// The optimiser's step.
pub static UPDATE: Kernel = Kernel {
    name: "update",
    template: "training/update.wgsl",
    params: UpdateParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let rules = [Rule::Sgd { nesterov: false }, Rule::Sgd { nesterov: true }, Rule::AdamW];
        rules.into_iter().flat_map(|rule| [false, true].map(|clips| key(rule, clips))).collect()
    },
    ..Kernel::DEFAULT
};

/// Whether gradients are scaled down to a largest norm.
fn key(rule: Rule, clips: bool) -> ShaderKey {
    let rule = match rule {
        Rule::Sgd { nesterov: false } => "sgd",
        Rule::Sgd { nesterov: true } => "nesterov",
        Rule::AdamW => "adam_w",
    };
    UPDATE.key([64, 1]).with("rule", rule).with("clips", clips)
}

pub fn accumulate(cx: &Context<'_>, step: &Accumulate) -> Dispatch {
    let length = arena_len(cx, step.sums);
    let params = AccumulateParams { length: length as u32 };
    let bindings = vec![
        (1, Resource::Map(step.hyperparameters)),
        (2, Resource::Arena(step.gradients)),
        (3, Resource::Arena(step.sums)),
    ];
    Dispatch::new("gradients added up", ACCUMULATE.key([64, 1]), &params, bindings, [length, 1, 1])
}

pub fn update(cx: &Context<'_>, step: &Update) -> Dispatch {
    let length = arena_len(cx, step.parameters);
    let decayed = decayed(cx.plan, &cx.plan.memory(cx.batch, map_len), step).unwrap_or(length);
    let params = UpdateParams { length: length as u32, decayed: decayed as u32 };
    let moments = step.moments.iter().zip(4..).map(|(&arena, at)| (at, Resource::Arena(arena)));
    let squares = step.squares.map(|squares| (6, Resource::Map(squares)));
    let bindings = vec![
        (1, Resource::Map(step.hyperparameters)),
        (2, Resource::Arena(step.gradients)),
        (3, Resource::Arena(step.parameters)),
    ];
    let bindings = bindings.into_iter().chain(moments).chain(squares).collect();
    let shader = key(step.rule, step.squares.is_some());
    Dispatch::new("the optimiser", shader, &params, bindings, [length, 1, 1])
}

/// How many vectors an arena has.
fn arena_len(cx: &Context<'_>, arena: ArenaId) -> usize {
    let memory = cx.plan.memory(cx.batch, map_len);
    memory.sizes[memory.arena(cx.plan, arena)] / 4
}

/// How many vectors of the parameters decay, unless all do.
fn decayed(plan: &Plan, memory: &Memory, step: &Update) -> Option<usize> {
    let first_other = plan.arena(step.parameters).get(step.decayed)?;
    Some(memory.offset_of(*first_other) / 4)
}
