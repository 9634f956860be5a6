//! What is checked: networks, layers and training steps that together run every kernel in all that it is specialised by.

mod compose;
mod conv;
mod gradients;
mod grids;
mod images;
mod operators;
mod training;

pub use training::training_networks;

use super::case::Subject;
use super::list::{List, Want};
use crate::plan::Mode;
use crate::{Precision, Result};
use operators::Operator;

/// Everything for a GPU, in the precision of the list.
pub(super) fn all(list: &mut List) -> Result<()> {
    conv::layers(list)?;
    conv::activations(list)?;
    conv::tiles(list)?;
    compose::all(list)?;
    // The rest stores in half precision, but never adds up in it.
    let want = if list.precision == Precision::F16 { Want::NewShaders } else { Want::Always };
    let is_exact = list.precision == Precision::F32;
    for Operator { what, network, range, .. } in
        operators::all().into_iter().filter(|operator| is_exact || !operator.is_combination)
    {
        let subject = Subject::Network { network, mode: Mode::Folded, batch: 3, range };
        list.add(&what, subject, list.own_policy(), want)?;
    }
    for (what, subject) in images::all() {
        list.add(&what, subject, list.own_policy(), want)?;
    }
    if list.precision != Precision::F16 {
        let (what, subject) = gradients::forward();
        list.add(&what, subject, list.own_policy(), Want::Always)?;
    }
    // Gradients are computed in single precision only, and the index of a workgroup is the same in all.
    if list.precision == Precision::F32 {
        for tier in list.tiers.clone() {
            let subjects = gradients::all().into_iter().chain(training::all());
            for (what, subject) in subjects {
                list.add(&what, subject, list.policy(tier), Want::Always)?;
            }
        }
        grids::all(list)?;
    }
    Ok(())
}

/// Everything for the CPU path.
pub(super) fn on_cpu(add: &mut dyn FnMut(String, Subject)) -> Result<()> {
    for (what, subject) in conv::plain().into_iter().chain(compose::subjects()) {
        add(what, subject);
    }
    for Operator { what, network, range, .. } in operators::all() {
        add(what, Subject::Network { network, mode: Mode::Folded, batch: 3, range });
    }
    for (what, subject) in gradients::all().into_iter().chain(training::all()) {
        add(what, subject);
    }
    Ok(())
}
