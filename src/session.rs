//! The way in: a model on an adapter.

#[cfg(not(target_arch = "wasm32"))]
mod folding;
mod repeat;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use folding::Folding;
pub use repeat::Repeated;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::adapter::Backend;
use crate::gpu::{Fault, ImageSource, MOST_RANKED, Ranking};
use crate::image::Image;
use crate::network::{Preprocess, Shape};
#[cfg(training)]
use crate::plan::ValueId;
use crate::plan::{Mode, Plan};
use crate::{Adapter, Error, LoadTimes, Model, Precision, Result, Tensor, cpu, gpu};

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
    output_names: Vec<String>,
    preprocess: Option<Preprocess>,
    labels: Vec<String>,
    /// Whether the network ends in a softmax of its own.
    gives_probabilities: bool,
}

/// A plan on whatever the adapter is.
#[derive(Debug)]
pub(crate) enum Executor {
    Cpu(Box<cpu::Executor>),
    Gpu(Box<gpu::VerifiedExecutor>),
}

impl Executor {
    /// A plan made ready on an adapter; on a GPU its kernels are verified.
    pub(crate) async fn load(adapter: &Adapter, plan: &Plan) -> Result<Self> {
        Ok(match adapter.backend() {
            Backend::Cpu => Self::Cpu(Box::new(cpu::Executor::new(plan)?)),
            Backend::Gpu(device) => Self::Gpu(Box::new(gpu::VerifiedExecutor::load(device, plan).await?)),
        })
    }

    /// Kernels that were found wrong, and replaced.
    pub(crate) fn faults(&self) -> &[Fault] {
        match self {
            Executor::Cpu(_) => &[],
            Executor::Gpu(executor) => executor.faults(),
        }
    }

    /// Runs a plan without outputs, for its states; on a GPU it may be under way when this returns. `is_submitted`, which starts as
    /// false, is true where it was run or will be: also after the future was dropped.
    #[cfg(training)]
    pub(crate) async fn step(&mut self, inputs: &[&[f32]], is_submitted: &mut bool) -> Result<()> {
        match self {
            Executor::Cpu(executor) => {
                let result = executor.run(1, inputs).map(drop);
                *is_submitted = result.is_ok();
                result
            }
            Executor::Gpu(executor) => executor.step(inputs, is_submitted).await,
        }
    }

    /// What a state or a value of an arena is, NCHW.
    #[cfg(training)]
    pub(crate) async fn read(&mut self, value: ValueId) -> Result<Vec<f32>> {
        match self {
            Executor::Cpu(executor) => executor.read(value),
            Executor::Gpu(executor) => executor.read(value).await,
        }
    }

    /// Sets a state, NCHW.
    #[cfg(training)]
    pub(crate) async fn write(&mut self, value: ValueId, values: &[f32]) -> Result<()> {
        match self {
            Executor::Cpu(executor) => executor.write(value, values),
            Executor::Gpu(executor) => executor.write(value, values).await,
        }
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
    /// Plans a model, uploads its weights and folds its kernels. On a GPU, every kernel that has not been verified there is
    /// compared with the CPU path, and replaced if it is wrong: see [`Session::faults`].
    ///
    /// # Errors
    /// Those of [`Plan::new`], and [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`]
    /// from the adapter.
    pub async fn load(adapter: &Adapter, model: &Model, mode: Mode) -> Result<Self> {
        Self::of_plan(adapter, model, &Plan::new(model, mode)?).await
    }

    /// [`Session::load`] for a model that is planned already.
    pub(crate) async fn of_plan(adapter: &Adapter, model: &Model, plan: &Plan) -> Result<Self> {
        let shape = |&id| plan.value(id).shape;
        let inputs = plan.inputs.iter().map(|id| (plan.value(*id).name.clone(), shape(id))).collect();
        let outputs = plan.outputs.iter().map(shape).collect();
        let executor = Executor::load(adapter, plan).await?;
        let network = model.network();
        let (preprocess, labels) = (network.preprocess.clone(), network.labels.clone());
        let gives_probabilities = network.ends_in_softmax();
        let output_names = network.outputs.clone();
        Ok(Self { executor, inputs, outputs, output_names, preprocess, labels, gives_probabilities })
    }

    /// Makes everything ready for batches of this size, which the first run would do otherwise: shaders compiled, buffers
    /// made.
    ///
    /// # Errors
    /// Those of [`Session::load`].
    pub async fn prepare(&mut self, batch: usize) -> Result<()> {
        match &mut self.executor {
            Executor::Cpu(_) => Ok(()),
            Executor::Gpu(executor) => executor.prepare(batch).await.map(drop),
        }
    }

    /// Shares the work of the CPU path with others that have the same network in the same mode.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) fn join(&mut self, workers: impl cpu::WorkerGroup + 'static) {
        if let Executor::Cpu(executor) = &mut self.executor {
            executor.join(workers);
        }
    }

    /// How long [`Session::load`] and [`Session::prepare`] took.
    pub fn load_times(&self) -> LoadTimes {
        match &self.executor {
            Executor::Cpu(executor) => executor.times,
            Executor::Gpu(executor) => executor.times(),
        }
    }

    /// Kernels that were found to compute wrong results on this adapter, when the model was loaded or a batch of another size was
    /// first run, and were replaced by others.
    pub fn faults(&self) -> &[Fault] {
        self.executor.faults()
    }

    /// In what precision it computes: that of the adapter when the model was loaded, or `f32` where that was found to be wrong.
    pub fn precision(&self) -> Precision {
        match &self.executor {
            Executor::Cpu(_) => Precision::F32,
            Executor::Gpu(executor) => executor.precision(),
        }
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

    /// Names of the results, in their order.
    pub fn output_names(&self) -> &[String] {
        &self.output_names
    }

    /// The same as [`Session::run`], with inputs and results by name.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use doconv::{Adapter, Mode, Model, Session, Tensor, network::zoo};
    /// # pollster::block_on(async {
    /// let model = Model::initialised(zoo::build("resnet20")?, 0)?.with_outputs(&["linear", "layer2.2.relu2"])?;
    /// let mut session = Session::load(&Adapter::cpu(), &model, Mode::Folded).await?;
    /// let images = BTreeMap::from([("image".to_owned(), Tensor::zeros([2, 3, 32, 32]))]);
    /// let results = session.run_named(&images).await?;
    /// assert_eq!(results["layer2.2.relu2"].shape(), [2, 32, 16, 16]);
    /// # Ok::<(), doconv::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] for an input that is missing, or a name that is none of the network's inputs; those of
    /// [`Session::run`].
    pub async fn run_named(&mut self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
        let names = || self.inputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("`, `");
        if let Some(unknown) = inputs.keys().find(|name| !self.inputs.iter().any(|(own, _)| own == *name)) {
            let reason = format!("the network has no such input; it has `{}`", names());
            return Err(Error::Input { input: unknown.clone(), reason });
        }
        let of = |(name, _): &(String, Shape)| {
            let missing = || Error::Input { input: name.clone(), reason: "it is missing".into() };
            inputs.get(name).cloned().ok_or_else(missing)
        };
        let arrays = self.inputs.iter().map(of).collect::<Result<Vec<_>>>()?;
        let results = self.run(&arrays).await?;
        Ok(self.output_names.iter().cloned().zip(results).collect())
    }

    /// One vector for each image: the first output of the network as it is. Meant for [`Model::embedding`], whose vectors are
    /// similar for similar images.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network that names classes or ends in a softmax, which is certainly a classifier; those of
    /// [`Session::preprocess`] and [`Session::run`].
    pub async fn embed(&mut self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        if !self.labels.is_empty() || self.gives_probabilities {
            let reason = "this model gives classes, not an embedding; load what `Model::embedding` makes of it";
            return Err(Error::Unsupported(reason.into()));
        }
        if images.is_empty() {
            return Ok(vec![]);
        }
        let input = self.preprocess(images).await?;
        let vectors = self.run(&[input]).await?.swap_remove(0);
        Ok(vectors.data().chunks_exact(vectors.data().len() / images.len()).map(<[f32]>::to_vec).collect())
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
    /// All images are one batch: submit as many at a time as memory allows. On a GPU, preprocessing and ranking are
    /// done there too, so that pixels go in and nothing but the best classes comes back.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has no preprocessing; [`Error::NoBestClass`] for the first image for which the
    /// network gives NaN or infinity; the errors of [`Session::run`].
    pub async fn classify(&mut self, images: &[Image], top_k: usize) -> Result<Vec<Vec<Prediction>>> {
        self.classify_each(images, top_k).await?.into_iter().collect()
    }

    /// The same, with a result for each image: NaN for one of them does not stop the others.
    ///
    /// # Errors
    /// Those of [`Session::classify`], but for [`Error::NoBestClass`], which is the result of its image.
    pub async fn classify_each(&mut self, images: &[Image], top_k: usize) -> Result<Vec<Result<Vec<Prediction>>>> {
        let images: Vec<ImageSource> = images.iter().map(ImageSource::Pixels).collect();
        self.classify_images(&images, top_k).await
    }

    /// The same as [`Session::classify`] for textures of the GPU device that the session runs on, as
    /// [`Adapter::from_wgpu`] has it: nothing is read back but the best classes. Each is 2D with the usage `COPY_SRC`, in
    /// `Rgba8Unorm` or `Rgba8UnormSrgb`, whose bytes are taken as they are; alpha is ignored.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on the CPU path and on devices that this crate has opened, whose textures nobody else has; for other
    /// formats and usages, for networks for grey images, and for textures that are too large to be preprocessed on the device;
    /// those of [`Session::classify`].
    ///
    /// # Panics
    /// wgpu may panic if a texture belongs to another `wgpu::Instance`.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn classify_textures(
        &mut self,
        textures: &[&wgpu::Texture],
        top_k: usize,
    ) -> Result<Vec<Vec<Prediction>>> {
        if let Executor::Gpu(executor) = &self.executor
            && !executor.is_on_device_of_program()
        {
            let reason = "textures are classified on their own device: load the session on `Adapter::from_wgpu`";
            return Err(Error::Unsupported(reason.into()));
        }
        textures.iter().try_for_each(|texture| check_texture(texture))?;
        let images: Vec<ImageSource> = textures.iter().map(|texture| ImageSource::Texture(texture)).collect();
        self.classify_images(&images, top_k).await?.into_iter().collect()
    }

    pub(crate) async fn classify_images(
        &mut self,
        images: &[ImageSource<'_>],
        top_k: usize,
    ) -> Result<Vec<Result<Vec<Prediction>>>> {
        let rules = self.preprocess_rules()?.clone();
        let best = top_k.min(self.outputs[0].iter().product());
        if images.is_empty() || best == 0 {
            return Ok(images.iter().map(|_| Ok(vec![])).collect());
        }
        let count = images.len();
        let ranking = Ranking { best, softmax: !self.gives_probabilities };
        let in_colour = self.sees_colours();
        match &mut self.executor {
            Executor::Gpu(executor) if in_colour && best <= MOST_RANKED && self.outputs[0][0] == 1 => {
                let ranked = executor.classify(images, &rules, ranking).await?;
                let prediction = |best: &gpu::Best| match best.obstacle() {
                    Some(value) => Err(value),
                    None => Ok(self.prediction(best.class as usize, best.probability)),
                };
                let answer = |image: &Vec<gpu::Best>| image.iter().map(prediction).collect::<Result<_, f32>>();
                let answers = ranked.iter().map(answer).enumerate();
                Ok(answers.map(|(at, answer)| answer.map_err(|value| self.no_best_class(value, at, count))).collect())
            }
            _ => {
                let input = self.preprocess_images(images).await?;
                let logits = self.run(&[input]).await?.swap_remove(0);
                let of_images = logits.data().chunks_exact(logits.data().len() / count).enumerate();
                let answer = |(at, logits)| match obstacle(logits, ranking.softmax) {
                    Some(value) => Err(self.no_best_class(value, at, count)),
                    None => Ok(self.top(logits, best)),
                };
                Ok(of_images.map(answer).collect())
            }
        }
    }

    /// Preprocesses images into the network's input `[N, 3, H, W]` on the adapter, with the same result on every adapter. For a
    /// network with one input channel, the result is `[N, 1, H, W]`, computed on the CPU.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has no preprocessing, and those of the adapter.
    pub async fn preprocess(&mut self, images: &[Image]) -> Result<Tensor> {
        let images: Vec<ImageSource> = images.iter().map(ImageSource::Pixels).collect();
        self.preprocess_images(&images).await
    }

    pub(crate) async fn preprocess_images(&mut self, images: &[ImageSource<'_>]) -> Result<Tensor> {
        let rules = self.preprocess_rules()?.clone();
        let [_, channels, height, width] = self.inputs[0].1;
        let shape = [images.len(), channels, height, width];
        let in_colour = self.sees_colours();
        match &mut self.executor {
            Executor::Gpu(executor) if in_colour => Tensor::new(shape, executor.preprocess(images, &rules).await?),
            _ => {
                let mut tensor = Tensor::zeros(shape);
                let outputs = tensor.data_mut().chunks_exact_mut(channels * height * width);
                for (image, out) in images.iter().zip(outputs) {
                    image.preprocess(&rules, height, width, out)?;
                }
                Ok(tensor)
            }
        }
    }

    /// Whether a browser's image of this width and height can be copied to the device directly.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) async fn accepts_image_of_size(&mut self, size: [usize; 2]) -> Result<bool> {
        let rules = self.preprocess_rules()?.clone();
        let in_colour = self.sees_colours();
        match &mut self.executor {
            Executor::Gpu(executor) if in_colour => executor.can_preprocess(size, &rules).await,
            _ => Ok(false),
        }
    }

    /// Whether the preprocessing shaders can be used: they need three channels.
    fn sees_colours(&self) -> bool {
        self.inputs[0].1[1] == 3
    }

    /// The fraction of an image's shorter side that the network sees.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) fn crop_fraction(&self) -> Result<f64> {
        Ok(self.preprocess_rules()?.crop_fraction)
    }

    /// The preprocessing of the network, whose input must be one map of one or three channels.
    pub(crate) fn preprocess_rules(&self) -> Result<&Preprocess> {
        match (self.inputs.as_slice(), &self.preprocess) {
            ([(_, [1, 1 | 3, _, _])], Some(rules)) => Ok(rules),
            ([_], Some(_)) => {
                Err(Error::Unsupported("the input of this model is not an image with one or three channels".into()))
            }
            _ => Err(Error::Unsupported("this model has no preprocessing".into())),
        }
    }

    fn prediction(&self, class: usize, probability: f32) -> Prediction {
        let label = self.labels.get(class).cloned().unwrap_or_else(|| class.to_string());
        Prediction { class, label, probability }
    }

    fn no_best_class(&self, value: f32, at: usize, count: usize) -> Error {
        let image = if count == 1 { "the image".into() } else { format!("image {} of {count}", at + 1) };
        let way_out = match self.precision() {
            Precision::F32 => "check the model's preprocessing (mean, std) and weights",
            #[cfg(not(target_arch = "wasm32"))]
            _ => "half precision ends at 65504: use precision `f32`",
        };
        Error::NoBestClass { image, value, way_out }
    }

    fn top(&self, logits: &[f32], top_k: usize) -> Vec<Prediction> {
        let probabilities = if self.gives_probabilities { logits.to_vec() } else { softmax(logits) };
        let mut classes: Vec<(usize, f32)> = probabilities.into_iter().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(top_k);
        classes.into_iter().map(|(class, probability)| self.prediction(class, probability)).collect()
    }
}

/// Whether a texture can be copied from as an image.
#[cfg(not(target_arch = "wasm32"))]
fn check_texture(texture: &wgpu::Texture) -> Result<()> {
    use wgpu::TextureFormat::{Rgba8Unorm, Rgba8UnormSrgb};
    let is_copied = texture.usage().contains(wgpu::TextureUsages::COPY_SRC);
    let is_flat = texture.dimension() == wgpu::TextureDimension::D2 && texture.sample_count() == 1;
    if is_copied && is_flat && matches!(texture.format(), Rgba8Unorm | Rgba8UnormSrgb) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "a texture to classify is 2D with one sample, Rgba8Unorm or Rgba8UnormSrgb and COPY_SRC; this one is {:?} with {} \
         samples, {:?} and {:?}",
        texture.dimension(),
        texture.sample_count(),
        texture.format(),
        texture.usage()
    )))
}

/// What stands in the way of a best class, if anything: a NaN, or infinities of which there is no softmax.
fn obstacle(values: &[f32], softmax: bool) -> Option<f32> {
    if values.iter().any(|value| value.is_nan()) {
        return Some(f32::NAN);
    }
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (softmax && largest.is_infinite()).then_some(largest)
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}
