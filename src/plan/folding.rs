//! Composing by itself, and what a plan moves at least.

use super::{Kernel, KernelId, KernelSource, Mode, Plan};
use crate::network::Shape;
use crate::{Model, Result};

impl Plan {
    /// A plan without convolutions, which has the composed kernels of a model, batch norms folded in, and gives what they
    /// are composed to: `[out, in / groups, rows, columns]` each, in the order of [`Plan::kernels`].
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(crate) fn folding(model: &Model) -> Result<Self> {
        let whole = Self::new(model, Mode::Folded)?;
        let is_composed = |kernel: &Kernel| matches!(kernel.source, KernelSource::Composed(_));
        let mut plan = Self { kernels: whole.kernels.into_iter().filter(is_composed).collect(), ..Self::empty() };
        for id in (0..plan.kernels.len()).map(KernelId) {
            plan.add_kernel_map(id);
        }
        plan.checked()
    }

    /// Bytes of inputs, weights, constants and outputs, each once: what every run with this batch has to move, however much
    /// of the rest stays in caches. Kernels that are composed for every run count as W and D. A number in a map or a kernel
    /// takes so many bytes, everything else is `f32`.
    pub(crate) fn traffic(&self, batch: usize, stored: u64) -> u64 {
        let maps = self.inputs.iter().chain(&self.outputs).map(|&id| stored * elements(self.value(id).batched(batch)));
        let weights = self.kernels.iter().enumerate().map(|(id, kernel)| {
            let bytes = match &kernel.source {
                KernelSource::Transposed(_) => 0,
                KernelSource::Composed(_) if self.composes_every_run(KernelId(id)) => 4 * kernel.factors(),
                _ => stored * elements(kernel.conv.kernel_shape()),
            };
            bytes + if kernel.conv.bias { 4 * kernel.conv.out_channels as u64 } else { 0 }
        });
        let constants = self.constants.iter().map(|constant| 4 * elements(constant.shape));
        maps.chain(weights).chain(constants).sum::<u64>()
    }

    /// Bytes of W, D and the kernels that they are composed to, of which a number takes so many.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(crate) fn folding_traffic(&self, stored: u64) -> u64 {
        let moved = |kernel: &Kernel| 4 * kernel.factors() + stored * elements(kernel.conv.kernel_shape());
        self.kernels.iter().map(moved).sum::<u64>()
    }
}

impl Kernel {
    /// Elements of its W and D; none where there are not any.
    fn factors(&self) -> u64 {
        let KernelSource::Composed(composed) = &self.source else { return 0 };
        let (conv, s) = (&self.conv, composed.attributes.d_mul);
        (s * (conv.out_channels * conv.channels_per_group() + conv.in_channels * conv.taps())) as u64
    }
}

fn elements(shape: Shape) -> u64 {
    shape.iter().map(|&extent| extent as u64).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv2d, FORMAT_VERSION, Input, Network, Node, Op};
    use crate::{Tensor, Weights};

    /// 3×3, two channels in and five out, on a 4×4 map, expanded.
    fn model() -> Model {
        let conv = Conv2d { padding: [1; 4], bias: true, ..Conv2d::new(2, 5, [3, 3]) };
        let network = Network {
            version: FORMAT_VERSION,
            name: "one layer".into(),
            inputs: vec![Input::new("input", [2, 4, 4])],
            nodes: vec![Node { name: "conv".into(), inputs: vec!["input".into()], op: Op::Conv2d(conv) }],
            outputs: vec!["conv".into()],
            preprocess: None,
            labels: vec![],
        };
        let kernel = Tensor::new([5, 2, 3, 3], (0..90).map(|value| value as f32).collect()).unwrap();
        let weights = Weights::from([("conv.weight".into(), kernel), ("conv.bias".into(), Tensor::zeros([5]))]);
        Model::new(network, weights).unwrap().expand(None, 0.1, 1).unwrap()
    }

    #[test]
    fn only_composing_is_left() {
        let plan = Plan::folding(&model()).unwrap();
        assert_eq!((plan.kernels.len(), plan.steps.len(), plan.inputs.len()), (1, 1, 0));
        assert_eq!(plan.value(plan.outputs[0]).shape, [5, 2, 3, 3]);
        assert_eq!(plan.folding_traffic(4), 4 * (5 * 2 * 9 + 2 * 9 * 9 + 5 * 2 * 9));
        assert!(Plan::folding(&model().fold().unwrap()).unwrap().kernels.is_empty());
    }

    #[test]
    fn every_mode_moves_its_own_weights() {
        let maps = |batch: u64| batch * (2 * 16 + 5 * 16);
        let (kernel, factors, bias) = (90, 9 * (10 + 18), 5);
        for (mode, weights) in [(Mode::Folded, kernel), (Mode::Kernel, factors), (Mode::Feature, factors)] {
            let plan = Plan::new(&model(), mode).unwrap();
            for batch in [1u64, 3] {
                let of = |stored| plan.traffic(batch as usize, stored);
                assert_eq!(of(4), 4 * (maps(batch) + weights + bias), "{}", mode.name());
                let stripped = plan.without_weights(|_| false);
                assert_eq!(stripped.traffic(batch as usize, 4), of(4));
                let composed = if mode == Mode::Kernel { weights } else { 0 };
                assert_eq!(
                    of(4) - of(2),
                    2 * (maps(batch) + weights - composed),
                    "half the size but for W, D and biases"
                );
            }
        }
    }
}
