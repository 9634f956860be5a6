//! Convolution kernels made ready for this machine.

use std::borrow::Cow;

use super::activation::{Finish, lanes};
use super::compose::shares_d;
use super::depthwise::{Depthwise, Filters};
use super::geometry::Geometry;
use super::grouped_pointwise::GroupedPointwise;
use super::matmul::Matmul;
use super::pack::Packed;
use super::worker_group::WorkerGroup;
use crate::doconv::Composed;
use crate::network::Conv2d;
use crate::plan::{Kernel, KernelSource};
use crate::{Error, Result, doconv};

/// A kernel in the form that suits its convolution.
pub(super) enum Prepared {
    Matmul(Packed),
    Depthwise(Filters),
    GroupedPointwise(GroupedPointwise),
}

/// What a convolution reads.
pub(super) struct Operands<'a> {
    pub(super) conv: &'a Conv2d,
    pub(super) geometry: Geometry,
    pub(super) input: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) finish: Finish,
    /// As many zeros as input channels times columns of the kernel.
    pub(super) zeros: &'a [f32],
    pub(super) workers: Option<&'a dyn WorkerGroup>,
}

impl Prepared {
    /// Makes room for a kernel, and takes its values over if they are wanted `now`.
    pub(super) fn new(kernel: &Kernel, now: bool) -> Result<Self> {
        let (conv, lanes) = (&kernel.conv, lanes());
        let mut prepared = if Filters::suits(conv, lanes) {
            Prepared::Depthwise(Filters::new(conv, lanes, &kernel.bias))
        } else if GroupedPointwise::suits(conv) {
            Prepared::GroupedPointwise(GroupedPointwise::new(conv, &kernel.bias))
        } else {
            Prepared::Matmul(Packed::new(conv, lanes, &kernel.bias))
        };
        if now {
            prepared.fill(kernel)?;
        }
        Ok(prepared)
    }

    /// Takes the kernel's values over, composing them where that is what they come from.
    pub(super) fn fill(&mut self, kernel: &Kernel) -> Result<()> {
        if let KernelSource::Composed(composed) = &kernel.source
            && self.compose(&kernel.conv, composed)
        {
            return Ok(());
        }
        self.set(&kernel.conv, &values(kernel)?);
        Ok(())
    }

    /// Composes in place. Not where there is no fast way, or the result is not what a kernel should be: then the slow way
    /// says what is wrong.
    fn compose(&mut self, conv: &Conv2d, composed: &Composed) -> bool {
        composed.fits(conv)
            && match self {
                Prepared::Matmul(packed) => shares_d(conv, composed) && packed.compose(conv, composed),
                Prepared::Depthwise(filters) => filters.compose(composed),
                Prepared::GroupedPointwise(_) => false,
            }
    }

    /// Takes the values of an OIHW kernel over.
    pub(super) fn set(&mut self, conv: &Conv2d, values: &[f32]) {
        match self {
            Prepared::Matmul(packed) => packed.fill(conv, values),
            Prepared::Depthwise(filters) => filters.fill(values),
            Prepared::GroupedPointwise(dots) => dots.fill(values),
        }
    }

    #[cfg(training)]
    pub(super) fn set_bias(&mut self, bias: &[f32]) {
        match self {
            Prepared::Matmul(packed) => packed.set_bias(bias),
            Prepared::Depthwise(filters) => filters.set_bias(bias),
            Prepared::GroupedPointwise(dots) => dots.set_bias(bias),
        }
    }

    /// The values that it has, OIHW.
    #[cfg(training)]
    pub(super) fn values(&self, conv: &Conv2d) -> Vec<f32> {
        match self {
            Prepared::Matmul(packed) => packed.values(conv),
            Prepared::Depthwise(filters) => filters.values(),
            Prepared::GroupedPointwise(dots) => dots.values().to_vec(),
        }
    }

    pub(super) fn run(&self, operands: Operands, output: &mut [f32]) {
        let Operands { conv, geometry, input, residual, finish, zeros, workers } = operands;
        match self {
            Prepared::Matmul(packed) => {
                Matmul { conv, geometry, packed, input, residual, finish, zeros }.run(workers, output);
            }
            Prepared::GroupedPointwise(dots) => dots.run(&geometry, input, residual, finish, output),
            Prepared::Depthwise(filters) => {
                Depthwise { filters, geometry, input, residual, finish }.run(workers, output)
            }
        }
    }
}

/// The values of a kernel that come with the plan, OIHW, composed where they come as W and D.
pub(super) fn values(kernel: &Kernel) -> Result<Cow<'_, [f32]>> {
    match &kernel.source {
        KernelSource::Plain(values) => Ok(values.as_slice().into()),
        KernelSource::Composed(composed) => {
            let folded =
                doconv::fold(&kernel.conv, composed).map_err(|error| Error::weight(&kernel.name, error.to_string()))?;
            Ok(folded.into_data().into())
        }
        KernelSource::Transposed(_) => {
            Err(Error::Unsupported(format!("{}: made from another kernel at every run", kernel.name)))
        }
    }
}
