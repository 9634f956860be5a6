//! All that is to be checked on an adapter, listed without it.

use std::collections::HashSet;

use super::case::Case;
use super::cases;
use super::list::List;
use crate::gpu::policy::{Policy, Tier};
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
        let mut list = List::new(policy);
        for &precision in precisions {
            list.precision = precision;
            cases::all(&mut list)?;
        }
        let mut cases = list.finish();
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
