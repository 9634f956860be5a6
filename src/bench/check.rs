//! Whether the results that were timed are right.

use super::Check;
use crate::doconv::{Composed, fold};
use crate::network::Conv2d;
use crate::plan::{KernelSource, Plan};
use crate::reference::{Estimate, Map, Rounding, error_growth, run_with_error_of};
use crate::{Adapter, AdapterKind, Mode, Model, Precision, Result, Session, Tensor};

/// Multiply-accumulates that the f64 reference is asked for: some 0.4 s of its time natively (10 ns each).
pub(super) const REFERENCE_MACS: u64 = 40_000_000;
/// What a result may differ from the CPU path's, as a fraction of the output's largest absolute value.
fn tolerance(precision: Precision) -> f64 {
    precision.pick([1e-4, 1e-2, 2e-2])
}

/// What the results of a case should be.
#[derive(Clone, Debug)]
pub struct Expected {
    reference: String,
    outputs: Vec<Output>,
}

#[derive(Clone, Debug)]
struct Output {
    shape: Vec<usize>,
    /// Only every so many-th channel is known, from the first on.
    every: usize,
    /// Values of those channels, and how far a result may be off.
    elements: Vec<(f64, f64)>,
}

impl Output {
    /// What is to be compared of a result of this shape.
    fn part<'a>(&self, values: &'a [f32]) -> impl Iterator<Item = &'a f32> + use<'a> {
        let (channels, every) = (self.shape.get(1).map_or(1, |&channels| channels.max(1)), self.every);
        let area = self.shape.iter().skip(2).product::<usize>().max(1);
        let maps = values.chunks(area).enumerate();
        maps.filter(move |(map, _)| (map % channels).is_multiple_of(every)).flat_map(|(_, map)| map)
    }
}

impl Expected {
    /// What a network should give for these inputs, for comparison with what the adapter gives in a mode.
    ///
    /// Small networks are computed by [`crate::reference`]. Large ones are by the CPU path, folded; where that is what is
    /// to be checked, in mode `feature`, which has other convolutions for DO-Conv layers.
    ///
    /// # Errors
    /// Those of [`run_with_error_of`] and [`Session::run`].
    pub async fn of(adapter: &Adapter, mode: Mode, model: &Model, inputs: &[Tensor]) -> Result<Self> {
        let batch = inputs.first().and_then(|input| input.shape().first()).map_or(1, |&batch| batch as u64);
        let macs = model.network().cost()?.total(|layer| layer.macs_folded).saturating_mul(batch);
        if macs <= REFERENCE_MACS {
            let winograd = |conv: &Conv2d, output| adapter.gpu()?.winograd(conv, output);
            return Ok(Self::from_reference(&run_with_error_of(model, inputs, adapter.precision(), &winograd)?));
        }
        let itself = adapter.info().kind == AdapterKind::Cpu && mode == Mode::Folded;
        let mode = if itself { Mode::Feature } else { Mode::Folded };
        let outputs = Session::load(&Adapter::cpu(), model, mode).await?.run(inputs).await?;
        Ok(Self::from_results(format!("CPU path, mode {}", mode.name()), adapter.precision(), &outputs))
    }

    /// What [`doconv::fold`](fn@crate::doconv::fold) makes of the composed kernels of a plan.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(super) fn of_folding(plan: &Plan, precision: Precision) -> Result<Self> {
        let mut estimates = vec![];
        for kernel in &plan.kernels {
            let KernelSource::Composed(composed) = &kernel.source else { continue };
            let absolute = |tensor: &Tensor| {
                Tensor::new(tensor.shape(), tensor.data().iter().map(|value| value.abs()).collect::<Vec<_>>())
            };
            let magnitude =
                Composed { w: absolute(&composed.w)?, d: absolute(&composed.d)?, attributes: composed.attributes };
            let value = Map::from_tensor(&fold(&kernel.conv, composed)?)?;
            let growth = error_growth(composed.attributes.d_mul);
            let error = Map::from_tensor(&fold(&kernel.conv, &magnitude)?)?.map(|magnitude| growth * magnitude);
            estimates.push(Estimate { error: Rounding::of(precision).stored(&value, error), value });
        }
        Ok(Self { reference: "f64 fold".into(), ..Self::from_reference(&estimates) })
    }

    /// What the reference says, with a tolerance of its own for every element.
    pub fn from_reference(estimates: &[Estimate]) -> Self {
        let output = |estimate: &Estimate| {
            let values = estimate.value.data.iter().enumerate();
            let elements = values.map(|(at, &value)| (value, estimate.tolerance(at))).collect();
            Output { shape: estimate.value.shape.to_vec(), every: 1, elements }
        };
        Self { reference: "f64 reference".into(), outputs: estimates.iter().map(output).collect() }
    }

    /// What the reference says of every so many-th of an output's channels, from the first on.
    pub(super) fn from_some_channels(estimates: &[Estimate], every: usize, channels: usize) -> Self {
        let mut expected = Self::from_reference(estimates);
        for output in &mut expected.outputs {
            output.every = every;
            output.shape[1] = channels;
        }
        if every > 1 {
            expected.reference = format!("f64 reference, one in {every} output channels");
        }
        expected
    }

    /// What something else gave; elements may differ by 10⁻⁴ of the largest absolute value of their output, and by more in
    /// half precision.
    pub fn from_results(reference: String, precision: Precision, outputs: &[Tensor]) -> Self {
        let output = |tensor: &Tensor| {
            let largest = tensor.data().iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let tolerance = tolerance(precision) * f64::from(largest);
            let elements = tensor.data().iter().map(|&value| (value.into(), tolerance)).collect();
            Output { shape: tensor.shape().to_vec(), every: 1, elements }
        };
        Self { reference, outputs: outputs.iter().map(output).collect() }
    }

    /// Compares results with it.
    pub fn check(&self, outputs: &[Tensor]) -> Check {
        let failed = Check { ok: false, largest_error: None, tolerance: 0.0, reference: self.reference.clone() };
        let shapes = self.outputs.iter().map(|output| &output.shape[..]);
        if !shapes.eq(outputs.iter().map(Tensor::shape)) {
            return failed;
        }
        let pairs =
            self.outputs.iter().zip(outputs).flat_map(|(want, got)| want.elements.iter().zip(want.part(got.data())));
        let mut worst = (0.0, 0.0, 0.0);
        for (&(want, tolerance), &got) in pairs {
            let error = (f64::from(got) - want).abs();
            // Not a number must not pass for a small difference.
            if !error.is_finite() {
                return Check { tolerance, ..failed };
            }
            let ratio = if error == 0.0 { 0.0 } else { error / tolerance };
            if ratio >= worst.0 {
                worst = (ratio, error, tolerance);
            }
        }
        let (ratio, error, tolerance) = worst;
        Check { ok: ratio <= 1.0, largest_error: Some(error), tolerance, ..failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    fn check(got: [f32; 3]) -> Check {
        let tensor = |values: [f32; 3]| Tensor::new([3], values.to_vec()).unwrap();
        Expected::from_results("what is wanted".into(), Precision::F32, &[tensor([1.0, -10.0, 0.0])])
            .check(&[tensor(got)])
    }

    #[test]
    fn only_what_is_close_passes() {
        let exact = check([1.0, -10.0, 0.0]);
        assert_eq!((exact.ok, exact.largest_error), (true, Some(0.0)));
        let near = check([1.0009, -10.0, 0.0]);
        assert!(near.ok && (near.largest_error.unwrap() - 0.0009).abs() < 1e-6, "{near:?}");
        assert!((near.tolerance - 1e-3).abs() < 1e-12, "{near:?}");
        assert!(!check([1.0011, -10.0, 0.0]).ok);
        assert!(!check([1.0, -10.0, 0.0011]).ok);
        for wrong in [f32::NAN, f32::INFINITY] {
            let check = check([1.0, wrong, 0.0]);
            assert_eq!((check.ok, check.largest_error), (false, None));
        }
    }

    #[test]
    fn shapes_count_and_so_does_nothing_at_all() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape);
        let expected = Expected::from_results("zeros".into(), Precision::F32, &[zeros(&[2, 3])]);
        assert!(expected.check(&[zeros(&[2, 3])]).ok);
        assert!(!expected.check(&[zeros(&[3, 2])]).ok);
        assert!(!expected.check(&[]).ok && !expected.check(&[zeros(&[2, 3]), zeros(&[1])]).ok);
        assert!(!expected.check(&[Tensor::new([2, 3], vec![0.0, 0.0, 1e-30, 0.0, 0.0, 0.0]).unwrap()]).ok);
    }

    #[test]
    fn a_kernel_that_is_not_the_fold_is_found() {
        for layer in super::super::layers::composable() {
            let model = layer.composed().unwrap();
            let expected = Expected::of_folding(&Plan::folding(&model).unwrap(), Precision::F32).unwrap();
            let kernel = model.fold().unwrap().weights()["conv.weight"].clone();
            let exact = expected.check(std::slice::from_ref(&kernel));
            assert!(exact.ok && exact.largest_error == Some(0.0) && exact.reference == "f64 fold", "{exact:?}");
            let last = kernel.data().len() - 1;
            for at in [0, last / 2, last] {
                let mut wrong = kernel.clone();
                // Far less than what moving D from the identity does, far more than rounding.
                wrong.data_mut()[at] += 1e-4;
                assert!(!expected.check(&[wrong]).ok, "{} at {at}", layer.name);
            }
            assert!(!expected.check(&[]).ok && !expected.check(&[model.weights()["conv.W"].clone()]).ok);
        }
    }

    #[test]
    fn some_channels_are_compared_with_their_own() {
        let map = reference::Map { shape: [2, 2, 1, 2], data: [0, 1, 6, 7, 10, 11, 16, 17].map(f64::from).to_vec() };
        let estimate = Estimate { error: map.map(|_| 1e-3), value: map };
        let expected = Expected::from_some_channels(&[estimate], 3, 5);
        let right: Vec<f32> = (0..20).map(|at| at as f32).collect();
        let check = |values: &[f32]| expected.check(&[Tensor::new([2, 5, 1, 2], values.to_vec()).unwrap()]);
        assert!(check(&right).ok, "{:?}", check(&right));
        assert_eq!(check(&right).reference, "f64 reference, one in 3 output channels");
        for at in 0..20 {
            let mut wrong = right.clone();
            wrong[at] += 0.1;
            assert_eq!(check(&wrong).ok, ![0, 1, 6, 7, 10, 11, 16, 17].contains(&at), "element {at}");
        }
    }
}
