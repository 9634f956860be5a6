//! The cases of every suite.

use std::borrow::Cow;

use super::check::Expected;
use super::layers::{LAYERS, Layer, composable, uniform};
use super::peak::Ceiling;
use super::suite::Suite;
use crate::network::{Conv2d, DoConv, Input, LayerCost, Network, Op, Pairing};
use crate::plan::expand_marked;
use crate::reference::run_with_error_of;
use crate::{Adapter, Mode, Model, Result, Tensor};

impl Suite {
    /// Its cases on an adapter; those of networks need a model, and run a batch. Cases in one list are timed in turn.
    pub(super) fn cases<'a>(self, adapter: &Adapter, model: Option<&'a Model>, batch: usize) -> Vec<Vec<Case<'a>>> {
        let case = |name: &str, mode, subject| Case { suite: self, name: name.into(), mode, batch: 1, subject };
        let run = |name: &str, mode, source| case(name, mode, Subject::Run(source));
        let fold = |name: &str, source| case(&format!("{name} fold"), Mode::Folded, Subject::Fold(source));
        let alone = |cases: Vec<Case<'a>>| cases.into_iter().map(|case| vec![case]).collect();
        match self {
            Suite::Layers => {
                alone(LAYERS.iter().map(|layer| run(layer.name, Mode::Folded, Source::Layer(layer))).collect())
            }
            Suite::Networks => {
                let in_mode = |model, mode| {
                    let subject = Subject::Run(Source::Network(model));
                    Case { batch, ..case(&Model::network(model).name, mode, subject) }
                };
                let of = |model| Mode::ALL.map(|mode| in_mode(model, mode));
                alone(model.into_iter().flat_map(of).collect())
            }
            Suite::Fold => {
                let of_layer = |layer: &'static Layer| {
                    let (name, source) = (layer.name, Source::ComposedLayer(layer));
                    Mode::ALL.map(|mode| run(name, mode, source)).into_iter().chain([fold(name, source)])
                };
                let mut cases: Vec<Vec<Case>> = alone(composable().flat_map(of_layer).collect());
                if let Some(model) = model.filter(|model| has_doconv_layers(model)) {
                    let (name, expanded) = (&model.network().name, Source::Expanded(model));
                    let plain = run(&format!("{name} plain"), Mode::Folded, Source::Plain(model));
                    cases.push(vec![run(name, Mode::Folded, expanded), plain]);
                    cases.push(vec![fold(name, expanded)]);
                }
                cases
            }
            Suite::Peak => {
                let there = Ceiling::ALL.into_iter().filter(|ceiling| ceiling.is_on(adapter));
                alone(there.map(|ceiling| case(ceiling.name(), Mode::Folded, Subject::Peak(ceiling))).collect())
            }
        }
    }
}

/// Whether anything of a network can be composed: folded layers that are marked, or W and D.
fn has_doconv_layers(model: &Model) -> bool {
    model.convolutions().any(|(_, conv)| conv.doconv.is_some() && conv.taps() > 1)
}

/// One thing to time, in one way.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    pub suite: Suite,
    pub name: String,
    pub mode: Mode,
    pub batch: usize,
    pub subject: Subject<'a>,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(super) enum Subject<'a> {
    /// A network, or a layer as one.
    Run(Source<'a>),
    /// Composing its kernels.
    Fold(Source<'a>),
    /// One thing only, as fast as it can be.
    Peak(Ceiling),
}

/// Where a network comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Layer(&'static Layer),
    /// A layer as W and D.
    ComposedLayer(&'static Layer),
    Network(&'a Model),
    /// A network with W and D wherever it is marked as having them.
    Expanded(&'a Model),
    /// The kernels that those give, in a network that never heard of W and D.
    Plain(&'a Model),
}

impl<'a> Source<'a> {
    pub fn model(self) -> Result<Cow<'a, Model>> {
        Ok(match self {
            Source::Layer(layer) => Cow::Owned(layer.model()?),
            Source::ComposedLayer(layer) => Cow::Owned(layer.composed()?),
            Source::Network(model) => Cow::Borrowed(model),
            Source::Expanded(model) => Cow::Owned(expand_marked(model)?),
            Source::Plain(model) => Cow::Owned(plain(&expand_marked(model)?)?),
        })
    }

    fn network(self) -> Cow<'a, Network> {
        match self {
            Source::Layer(layer) => Cow::Owned(layer.network(layer.conv())),
            Source::ComposedLayer(layer) => {
                let conv = layer.conv();
                let doconv = Some(DoConv { d_mul: conv.taps(), pairing: Pairing::Paper });
                Cow::Owned(layer.network(Conv2d { doconv, ..conv }))
            }
            Source::Network(model) | Source::Expanded(model) | Source::Plain(model) => Cow::Borrowed(model.network()),
        }
    }

    fn cost(self, figure: impl Fn(&LayerCost) -> u64) -> Result<u64> {
        Ok(self.network().cost()?.total(figure))
    }
}

/// The folded model without any mark of what it was.
fn plain(model: &Model) -> Result<Model> {
    let folded = model.fold()?;
    let mut network = folded.network().clone();
    for node in &mut network.nodes {
        if let Op::Conv2d(conv) = &mut node.op {
            conv.doconv = None;
        }
    }
    Model::new(network, folded.weights().clone())
}

impl Case<'_> {
    /// Random inputs of a network, the same every time.
    pub fn inputs(&self, network: &Network) -> Result<Vec<Tensor>> {
        let mut random = oorandom::Rand64::new(2);
        let input = |Input { shape: [c, h, w], items, .. }: &Input| {
            uniform(&mut random, [self.batch * items, *c, *h, *w].to_vec(), 2.0)
        };
        network.inputs.iter().map(input).collect()
    }

    /// What the adapter should give for a source's model.
    pub async fn expected(
        &self,
        adapter: &Adapter,
        source: Source<'_>,
        model: &Model,
        inputs: &[Tensor],
    ) -> Result<Expected> {
        match source {
            Source::Layer(layer) | Source::ComposedLayer(layer) => {
                let every = layer.checked_channels(source.cost(|layer| layer.macs_folded)?);
                let winograd = |conv: &Conv2d, output| {
                    let whole = Conv2d { out_channels: layer.out_channels, ..conv.clone() };
                    adapter.gpu()?.winograd(&whole, output)
                };
                let estimates =
                    run_with_error_of(&layer.narrowed(model, every)?, inputs, adapter.precision(), &winograd)?;
                Ok(Expected::from_some_channels(&estimates, every, layer.out_channels))
            }
            Source::Network(_) | Source::Expanded(_) => Expected::of(adapter, self.mode, model, inputs).await,
            // The same function, which has another way to compute it as long as there are W and D.
            Source::Plain(model) => Expected::of(adapter, self.mode, &expand_marked(model)?, inputs).await,
        }
    }

    /// Multiply-accumulates of a run, as far as they are known before it is made ready.
    pub fn macs(&self) -> Result<u64> {
        let one = match (self.subject, self.mode) {
            (Subject::Run(source), Mode::Folded) => source.cost(|layer| layer.macs_folded)?,
            (Subject::Run(source), Mode::Kernel) => source.cost(|layer| layer.macs_kernel)?,
            (Subject::Run(source), Mode::Feature) => source.cost(|layer| layer.macs_feature)?,
            (Subject::Fold(source), _) => source.cost(|layer| layer.macs_kernel - layer.macs_folded)?,
            (Subject::Peak(_), _) => 0,
        };
        Ok(one.saturating_mul(self.batch as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat<'a>(suite: Suite, model: Option<&'a Model>) -> Vec<Case<'a>> {
        suite.cases(&Adapter::cpu(), model, 3).into_iter().flatten().collect()
    }

    fn macs(cases: &[Case]) -> Vec<u64> {
        cases.iter().map(|case| case.macs().unwrap()).collect()
    }

    #[test]
    fn a_layer_has_its_cost_and_fitting_inputs() {
        let cases = flat(Suite::Layers, None);
        assert_eq!(cases.len(), 13);
        let Subject::Run(source) = cases[0].subject else { panic!("{:?}", cases[0]) };
        assert_eq!(source.model().unwrap().network(), &*source.network());
        assert_eq!(macs(&cases)[0], 118_013_952, "112² · 64 · 3 · 7²");
        let inputs = || cases[0].inputs(&source.network()).unwrap();
        let [input] = &inputs()[..] else { panic!("one input") };
        assert_eq!(input.shape(), [1, 3, 224, 224]);
        assert_eq!(*input, inputs()[0], "the same every time");
        assert!(input.data().iter().any(|&value| value > 1.9) && input.data().iter().any(|&value| value < -1.9));
    }

    #[test]
    fn a_network_comes_in_every_mode_and_no_model_means_none() {
        assert!(flat(Suite::Networks, None).is_empty());
        let model = LAYERS[12].model().unwrap();
        let modes: Vec<Mode> = flat(Suite::Networks, Some(&model)).iter().map(|case| case.mode).collect();
        assert_eq!(modes, Mode::ALL);
        assert!(flat(Suite::Networks, Some(&model)).iter().all(|case| case.batch == 3));
        assert!(flat(Suite::Fold, Some(&model)).iter().all(|case| case.batch == 1));
    }

    #[test]
    fn composed_layers_come_in_every_mode_and_are_composed() {
        let cases = flat(Suite::Fold, None);
        assert_eq!(cases.len(), 16);
        for (case, mode) in cases.iter().zip(Mode::ALL.into_iter().chain([Mode::Folded]).cycle()) {
            assert_eq!(case.mode, mode);
            let (Subject::Run(source) | Subject::Fold(source)) = case.subject else { panic!("{case:?}") };
            assert_eq!(source.model().unwrap().network(), &*source.network());
        }
        let [folded, kernel, feature, fold] = macs(&cases)[..4] else { panic!("{cases:?}") };
        assert_eq!((cases[3].name.as_str(), fold), ("3x3-64-64@56 fold", 64 * 64 * 9 * 9));
        assert_eq!((folded, kernel), (56 * 56 * 64 * 64 * 9, folded + fold));
        assert_eq!(feature, 56 * 56 * 64 * 9 * (9 + 64));
    }

    #[test]
    fn a_network_with_doconv_layers_stands_beside_one_that_never_had_any() {
        let composed = LAYERS[12].composed().unwrap();
        for model in [composed.clone(), composed.fold().unwrap()] {
            let groups = Suite::Fold.cases(&Adapter::cpu(), Some(&model), 1);
            let names = |group: &[Case]| group.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
            assert_eq!(names(&groups[16]), ["dw3x3-384@14", "dw3x3-384@14 plain"]);
            assert_eq!((names(&groups[17]), groups.len()), (vec!["dw3x3-384@14 fold".into()], 18));
            assert_eq!(macs(&groups[17]), [384 * 9 * 9]);
        }
        let plain = plain(&composed).unwrap();
        assert!(!plain.is_composed() && !has_doconv_layers(&plain));
        assert_eq!(plain.weights()["conv.weight"], composed.fold().unwrap().weights()["conv.weight"]);
        assert_eq!(flat(Suite::Fold, Some(&plain)).len(), 16, "nothing to fold in it");
    }
}
