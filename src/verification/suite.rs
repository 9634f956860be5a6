//! All that is to be checked on an adapter, listed without it.

use std::collections::HashSet;

use super::case::{Case, Subject};
use super::cases;
use crate::gpu::policy::{Policy, Tier, TuningTable};
use crate::gpu::shader::ShaderKey;
use crate::{Adapter, Precision, Result};

/// How much is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Every class of specialisation, tier and precision.
    #[default]
    Full,
    /// What runs every shader family once in every precision, and little more.
    Quick,
}

/// Cases for an adapter.
#[derive(Clone, Debug)]
pub struct Suite {
    cases: Vec<Case>,
}

impl Suite {
    /// Everything for an adapter: on a GPU in every precision that it has.
    ///
    /// # Errors
    /// Those of [`Plan::new`](crate::plan::Plan::new), which no adapter has a part in.
    pub fn new(adapter: &Adapter, extent: Extent) -> Result<Self> {
        let Some(device) = adapter.gpu() else { return Self::for_cpu(extent) };
        let has = |precision: &Precision| adapter.clone().with_precision(*precision).is_ok();
        let precisions: Vec<Precision> = Precision::ALL.into_iter().filter(has).collect();
        Self::for_gpu(&device.policy(), &precisions, extent)
    }

    /// Everything for GPUs with such a policy: only what it says of the adapter counts.
    ///
    /// # Errors
    /// Those of [`Suite::new`].
    pub fn for_gpu(policy: &Policy, precisions: &[Precision], extent: Extent) -> Result<Self> {
        let policy = Policy { preferred: None, excluded: vec![], tuning: TuningTable::default(), ..policy.clone() };
        let mut list = List { policy, tiers: vec![], precision: Precision::F32, cases: vec![], seen: HashSet::new() };
        let other = if list.policy.tier == Tier::Software { Tier::Hardware } else { Tier::Software };
        list.tiers = vec![list.policy.tier, other];
        for &precision in precisions {
            list.precision = precision;
            cases::all(&mut list)?;
        }
        let mut cases = list.cases;
        if extent == Extent::Quick {
            cases = covering(cases);
        }
        Ok(Self { cases })
    }

    fn for_cpu(extent: Extent) -> Result<Self> {
        let mut cases = vec![];
        cases::on_cpu(&mut |name, subject| {
            cases.push(Case::on_cpu(name, subject, Policy::from(Tier::Software)));
        })?;
        if extent == Extent::Quick {
            let mut seen = HashSet::new();
            cases.retain(|case: &Case| case.kernels().into_iter().fold(false, |new, kernel| seen.insert(kernel) | new));
        }
        Ok(Self { cases })
    }

    /// What is to be checked, in this order.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

/// Cases that together run every family that all of them do, in each precision.
fn covering(cases: Vec<Case>) -> Vec<Case> {
    let mut seen = HashSet::new();
    let mut is_news = |case: &Case| {
        let families = case.shaders().iter().map(|shader| (shader.kernel.name, shader.precision));
        families.fold(false, |news, family| seen.insert(family) | news)
    };
    cases.into_iter().filter(|case| !case.is_large() && is_news(case)).collect()
}

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
