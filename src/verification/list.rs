//! A list of cases in the making.

use std::collections::HashSet;

use super::case::{Case, Subject};
use crate::gpu::policy::{Policy, Tier, TuningTable};
use crate::gpu::shader::ShaderKey;
use crate::{Precision, Result};

/// A list of cases in the making, for one precision at a time.
pub(super) struct List {
    /// What the adapter is.
    policy: Policy,
    /// Its own first.
    pub tiers: Vec<Tier>,
    pub precision: Precision,
    cases: Vec<Case>,
    seen: HashSet<ShaderKey>,
}

/// When a case is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// For what it computes.
    Always,
    /// If it runs a shader that none before it does.
    NewShaders,
    /// If it runs by the kernel that the policy prefers.
    Preferred,
    /// If both is so.
    NewAndPreferred,
}

impl List {
    /// For GPUs with such a policy: only what it says of the adapter counts.
    pub fn new(policy: &Policy) -> Self {
        let policy = Policy { preferred: None, excluded: vec![], tuning: TuningTable::default(), ..policy.clone() };
        let other = if policy.tier == Tier::Software { Tier::Hardware } else { Tier::Software };
        let tiers = vec![policy.tier, other];
        Self { policy, tiers, precision: Precision::F32, cases: vec![], seen: HashSet::new() }
    }

    /// What it has come to.
    pub fn finish(self) -> Vec<Case> {
        self.cases
    }

    /// The policy for a tier, in the precision of the moment.
    pub fn policy(&self, tier: Tier) -> Policy {
        Policy { tier, precision: self.precision, ..self.policy.clone() }
    }

    /// With the adapter's own tier.
    pub fn own_policy(&self) -> Policy {
        self.policy(self.tiers[0])
    }

    /// Adds a case if it is wanted.
    pub fn add(&mut self, what: &str, subject: Subject, policy: Policy, want: Want) -> Result<()> {
        let how = [policy.preferred.map(|name| format!("by {name}")), tuned(&policy)].into_iter().flatten();
        let tier = match policy.tier {
            Tier::Software => "software tier",
            Tier::Hardware => "hardware tier",
        };
        let words = [what.to_owned()].into_iter().chain(how);
        let words = words.chain([tier.to_owned(), policy.precision.name().to_owned()]);
        let name = words.collect::<Vec<_>>().join(", ");
        let case = Case::on_gpu(name, subject, policy)?;
        let is_new = case.shaders().iter().any(|shader| !self.seen.contains(shader));
        let is_wanted = match want {
            Want::Always => true,
            Want::NewShaders => is_new,
            Want::Preferred => case.is_as_preferred(),
            Want::NewAndPreferred => is_new && case.is_as_preferred(),
        };
        if is_wanted {
            self.seen.extend(case.shaders().iter().cloned());
            self.cases.push(case);
        }
        Ok(())
    }
}

/// The kernel configuration that a policy names for its one layer.
fn tuned(policy: &Policy) -> Option<String> {
    policy.tuning.iter().next().map(|(_, config)| format!("as `{config}`"))
}
