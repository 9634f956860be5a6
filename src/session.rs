//! The way in: a model on an adapter.

mod repeat;

pub use repeat::Repeated;

use serde::Serialize;

use crate::adapter::Backend;
use crate::image::{Image, preprocess};
use crate::network::{Preprocess, Shape};
use crate::plan::{Mode, Plan};
use crate::{Adapter, Error, Model, Result, Tensor, cpu, gpu};

/// A model made ready on an adapter: weights in place, kernels folded.
///
/// ```
/// # #[cfg(all(feature = "image", feature = "bundled-model"))]
/// # pollster::block_on(async {
/// use doconv::{Adapter, Image, Mode, Model, Selector, Session};
///
/// let adapter = Adapter::open(&Selector::Auto).await?;
/// let mut session = Session::load(&adapter, &Model::bundled()?, Mode::Folded).await?;
/// let image = Image::open("photos/chelsea.png")?;
/// for prediction in &session.classify(&[image], 5).await?[0] {
///     println!("{:5.1} %  {}", 100.0 * prediction.probability, prediction.label);
/// }
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Session {
    executor: Executor,
    inputs: Vec<(String, Shape)>,
    outputs: Vec<Shape>,
    preprocess: Option<Preprocess>,
    labels: Vec<String>,
    /// Whether the network ends in a softmax of its own.
    gives_probabilities: bool,
}

/// A plan on whatever the adapter is.
#[derive(Debug)]
pub(crate) enum Executor {
    Cpu(cpu::Executor),
    Gpu(gpu::Executor),
}

impl Executor {
    pub(crate) async fn new(adapter: &Adapter, plan: &Plan) -> Result<Self> {
        Ok(match adapter.backend() {
            Backend::Cpu => Executor::Cpu(cpu::Executor::new(plan)?),
            Backend::Gpu(device) => Executor::Gpu(gpu::Executor::new(device, plan).await?),
        })
    }

    /// One array for each of the plan's inputs and outputs, NCHW, `batch` of each.
    pub(crate) async fn run(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        match self {
            Executor::Cpu(executor) => executor.run(batch, inputs),
            Executor::Gpu(executor) => executor.run(batch, inputs).await,
        }
    }
}

/// One class that an image may belong to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Index of the class.
    pub class: usize,
    /// Its name, or its index where the model has no labels.
    pub label: String,
    /// Softmax of the logits, or what the network's own softmax gives; in 0…1.
    pub probability: f32,
}

impl Session {
    /// Plans a model, uploads its weights and folds its kernels.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`]
    /// from the adapter.
    pub async fn load(adapter: &Adapter, model: &Model, mode: Mode) -> Result<Self> {
        let plan = Plan::new(model, mode)?;
        let shape = |&id| plan.value(id).shape;
        let inputs = plan.inputs.iter().map(|id| (plan.value(*id).name.clone(), shape(id))).collect();
        let outputs = plan.outputs.iter().map(shape).collect();
        let executor = Executor::new(adapter, &plan).await?;
        let network = model.network();
        let (preprocess, labels) = (network.preprocess.clone(), network.labels.clone());
        let gives_probabilities = network.ends_in_softmax();
        Ok(Self { executor, inputs, outputs, preprocess, labels, gives_probabilities })
    }

    /// Names and shapes of the arrays that [`Session::run`] wants, for a batch of one.
    pub fn inputs(&self) -> &[(String, Shape)] {
        &self.inputs
    }

    /// Shapes of the results for a batch of one.
    pub fn outputs(&self) -> &[Shape] {
        &self.outputs
    }

    /// Runs the network on arrays `[N, C, H, W]`, one for each of its inputs and all of the same batch N; of inputs with
    /// several items per element of the batch, the first extent is N times as many.
    ///
    /// # Errors
    /// [`Error::Input`] if number or shape of the inputs is wrong; those of the adapter.
    pub async fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let batch = self.batch_of(inputs)?;
        let slices: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
        let results = self.executor.run(batch, &slices).await?;
        self.shaped(batch, results)
    }

    /// The batch size of arrays that fit the network.
    fn batch_of(&self, inputs: &[Tensor]) -> Result<usize> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::Input {
                input: "inputs".into(),
                reason: format!("the network has {}, {} were given", self.inputs.len(), inputs.len()),
            });
        }
        let batch = inputs[0].shape().first().copied().unwrap_or(0) / self.inputs[0].1[0];
        for ((name, [items, c, h, w]), tensor) in self.inputs.iter().zip(inputs) {
            if batch == 0 || tensor.shape() != [batch * items, *c, *h, *w] {
                let of = if *items == 1 { "N".into() } else { format!("{items}·N") };
                let reason = format!("expected [{of}, {c}, {h}, {w}] with N ≥ 1, got {:?}", tensor.shape());
                return Err(Error::Input { input: name.clone(), reason });
            }
        }
        Ok(batch)
    }

    fn shaped(&self, batch: usize, results: Vec<Vec<f32>>) -> Result<Vec<Tensor>> {
        let shapes = self.outputs.iter().map(|&[n, c, h, w]| [n * batch, c, h, w]);
        results.into_iter().zip(shapes).map(|(data, shape)| Tensor::new(shape, data)).collect()
    }

    /// The `top_k` most probable classes of every image, best first.
    ///
    /// All images are one batch: hand over as many at a time as memory allows.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has no preprocessing, and the errors of [`Session::run`].
    pub async fn classify(&mut self, images: &[Image], top_k: usize) -> Result<Vec<Vec<Prediction>>> {
        if images.is_empty() {
            return Ok(vec![]);
        }
        let input = self.preprocess(images)?;
        let logits = self.run(&[input]).await?.swap_remove(0);
        let classes = logits.data().len() / images.len();
        Ok(logits.data().chunks_exact(classes).map(|logits| self.top(logits, top_k)).collect())
    }

    /// Photographs as the network's input `[N, 3, H, W]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model does not say how photographs become its input.
    pub fn preprocess(&self, images: &[Image]) -> Result<Tensor> {
        let ([(_, [_, channels, height, width])], Some(rules)) = (self.inputs.as_slice(), &self.preprocess) else {
            return Err(Error::Unsupported("this model does not say how a photograph becomes its input".into()));
        };
        let mut tensor = Tensor::zeros([images.len(), *channels, *height, *width]);
        for (image, out) in images.iter().zip(tensor.data_mut().chunks_exact_mut(channels * height * width)) {
            preprocess(image, rules, *height, *width, out)?;
        }
        Ok(tensor)
    }

    fn top(&self, logits: &[f32], top_k: usize) -> Vec<Prediction> {
        let probabilities = if self.gives_probabilities { logits.to_vec() } else { softmax(logits) };
        let mut classes: Vec<(usize, f32)> = probabilities.into_iter().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(top_k);
        let label = |class: usize| self.labels.get(class).cloned().unwrap_or_else(|| class.to_string());
        classes.into_iter().map(|(class, probability)| Prediction { class, label: label(class), probability }).collect()
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}
