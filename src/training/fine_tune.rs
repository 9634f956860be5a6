//! Fine-tuning a classifier for new classes with a few images of each.

use std::ops::ControlFlow;

use oorandom::Rand64;

use super::classifier_head::HEAD_CONV;
use super::{Optimiser, Options, Schedule, Totals, Trainer, doconv_head, last_map, shuffle, targets};
use crate::gpu::ImageSource;
use crate::network::Op;
use crate::{Adapter, Error, Image, Mode, Model, Network, Result, Session, Tensor};

/// Batch size; fewer where there are fewer images.
const BATCH: usize = 16;
/// The least number of epochs …
const EPOCHS: usize = 20;
/// … and of steps …
const STEPS: usize = 80;
/// … unless the loss is below this: the images are learnt.
const LEARNT: f64 = 2e-3;
/// One in so many images of a class is held out for validation.
const HELD_OUT: usize = 5;

/// Fine-tunes a classifier for new classes: a small DO-Conv head replaces its last layers and is trained on the features of
/// the layers before.
///
/// Every image goes through the frozen layers once, when it is added, so training is quick.
///
/// ```no_run
/// # #[cfg(all(feature = "image", feature = "bundled-model"))]
/// # pollster::block_on(async {
/// use std::ops::ControlFlow;
///
/// use doconv::{Adapter, Image, Mode, Model, Session};
/// use doconv::training::{FineTuneOptions, FineTuner};
///
/// let adapter = Adapter::cpu();
/// let mut tuner = FineTuner::new(&adapter, &Model::bundled()?).await?;
/// tuner.add_example(0, &Image::open("photos/chelsea.png")?).await?;
/// tuner.add_example(1, &Image::open("photos/coffee.png")?).await?;
/// let classes = [(0, "Chelsea".to_owned()), (1, "coffee".to_owned())];
/// let tuned = tuner.train(&classes, &FineTuneOptions::default(), async |_| ControlFlow::Continue(())).await?;
/// let mut session = Session::load(&adapter, &tuned.model.fold()?, Mode::Folded).await?;
/// let best = session.classify(&[Image::open("photos/chelsea.png")?], 1).await?;
/// assert_eq!(best[0][0].label, "Chelsea");
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct FineTuner {
    adapter: Adapter,
    front: Model,
    session: Session,
    /// The layers between the front and the head, if there is a DO-Conv layer among them that can be trained.
    block: Option<Model>,
    examples: Vec<Example>,
}

#[derive(Debug)]
struct Example {
    class: usize,
    features: Vec<f32>,
}

/// What is trained, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FineTuneOptions {
    /// Whether the network's last DO-Conv layer and the layers after it are trained besides the head.
    pub last_block: bool,
    /// The seed of the initial head and of the order of the images.
    pub seed: u64,
}

/// The state after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Epochs done.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Loss and accuracy on the training images of this epoch.
    pub totals: Totals,
}

/// How many of some images are classified correctly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Correctly classified images.
    pub correct: usize,
    /// All images.
    pub total: usize,
}

/// The result of fine-tuning.
#[derive(Clone, Debug)]
pub struct FineTuned {
    /// The whole network, composed: [`Model::fold`] makes the one to ship.
    pub model: Model,
    /// Accuracy of the folded network on the held-out images, one in five of each class.
    pub held_out: Accuracy,
}

impl FineTuner {
    /// Prepares a classifier for fine-tuning.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if its input is not an image, or if there are no layers before its last one; those of
    /// [`Session::load`].
    pub async fn new(adapter: &Adapter, model: &Model) -> Result<Self> {
        let model = model.fold_batch_norms()?;
        let tuned = model.network().nodes.iter().find(|node| node.name == HEAD_CONV);
        // A network that was fine-tuned before loses that head.
        let last = match tuned {
            Some(node) => node.inputs[0].clone(),
            None => last_map(model.network())?.to_owned(),
        };
        let [mut front, _] = model.cut(&last)?;
        let mut block = None;
        if let Some(place) = last_block(front.network()) {
            let [before, after] = front.cut(&place)?;
            // A folded layer with fewer columns of D than taps cannot be expanded; the head learns without it.
            if let Ok(after) = after.expand(None, 0.0, 0) {
                (front, block) = (before, Some(after));
            }
        }
        let session = Session::load(adapter, &front, Mode::Folded).await?;
        session.preprocess_rules()?;
        Ok(Self { adapter: adapter.clone(), front, session, block, examples: vec![] })
    }

    /// Moves to another adapter, or to the same one opened again; the examples are kept.
    ///
    /// # Errors
    /// Those of [`Session::load`]; everything is as it was then.
    pub async fn move_to(&mut self, adapter: &Adapter) -> Result<()> {
        self.session = Session::load(adapter, &self.front, Mode::Folded).await?;
        self.adapter = adapter.clone();
        Ok(())
    }

    /// Whether [`FineTuneOptions::last_block`] is possible: some networks have no DO-Conv layer that all later ones depend on.
    pub fn has_last_block(&self) -> bool {
        self.block.is_some()
    }

    /// Adds an image of a class.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub async fn add_example(&mut self, class: usize, image: &Image) -> Result<()> {
        self.add_image(class, ImageSource::Pixels(image)).await
    }

    pub(crate) async fn add_image(&mut self, class: usize, image: ImageSource<'_>) -> Result<()> {
        let input = self.session.preprocess_images(&[image]).await?;
        let features = self.session.run(&[input]).await?.swap_remove(0).into_data();
        self.examples.push(Example { class, features });
        Ok(())
    }

    /// The fraction of an image's shorter side that the network sees.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) fn crop_fraction(&self) -> Result<f64> {
        self.session.crop_fraction()
    }

    /// How many images of a class were added.
    pub fn example_count(&self, class: usize) -> usize {
        self.examples.iter().filter(|example| example.class == class).count()
    }

    /// Removes the images of a class.
    pub fn remove_examples(&mut self, class: usize) {
        self.examples.retain(|example| example.class != class);
    }

    /// Trains the network to tell classes apart, each given by its number and its name; examples of other classes are left out.
    /// `progress` is called after every epoch and may end training, whose result so far is returned.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are fewer than two classes, two of the same name, or one without images; those of
    /// [`Trainer::new`] and of the adapter.
    pub async fn train(
        &mut self,
        classes: &[(usize, String)],
        options: &FineTuneOptions,
        mut progress: impl AsyncFnMut(Progress) -> ControlFlow<()>,
    ) -> Result<FineTuned> {
        self.check(classes)?;
        let labels: Vec<String> = classes.iter().map(|(_, label)| label.clone()).collect();
        let [examples, held_out] = self.examples_of(classes);
        // What is frozen comes first, and is run once.
        let frozen = self.block.clone().filter(|_| !options.last_block);
        let (examples, held_out) =
            (self.through(frozen.as_ref(), examples).await?, self.through(frozen.as_ref(), held_out).await?);
        let front = frozen.map_or_else(|| Ok(self.front.clone()), |block| self.front.join(&block))?;
        let tail = self.tail(&labels, options)?;

        let batch = BATCH.min(examples.len());
        let steps = examples.len() / batch;
        let epochs = EPOCHS.max(STEPS.div_ceil(steps));
        let optimiser = Optimiser::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 };
        let trainer_options = Options { batch, optimiser, ..Options::default() };
        let mut trainer = Trainer::new(&self.adapter, &tail, &trainer_options).await?;
        // Pretrained layers need a lower learning rate.
        let rate = if options.last_block && self.block.is_some() { 2e-4 } else { 1e-3 };
        let mut random = Rand64::new(u128::from(options.seed));
        let mut order: Vec<usize> = (0..examples.len()).collect();
        for epoch in 0..epochs {
            shuffle(&mut order, &mut random);
            for (step, places) in order.chunks_exact(batch).enumerate() {
                let features: Vec<f32> = places.iter().flat_map(|&at| &examples[at].features).copied().collect();
                let labels: Vec<usize> = places.iter().map(|&at| examples[at].class).collect();
                // In the middle of the step: the last rate is not 0.
                let done = ((epoch * steps + step) as f64 + 0.5) / (epochs * steps) as f64;
                let rate = rate * Schedule::Cosine.factor(done);
                trainer.step(&features, &targets(&labels, classes.len(), 0.0)?, rate as f32).await?;
            }
            let totals = trainer.totals().await?;
            let asked_to_end = progress(Progress { epoch: epoch + 1, epochs, totals }).await.is_break();
            if asked_to_end || (epoch + 1 >= EPOCHS && totals.mean_loss() < LEARNT) {
                break;
            }
        }
        let tail = trainer.model().await?;
        let held_out = self.accuracy(&tail, &held_out).await?;
        Ok(FineTuned { model: front.join(&tail)?, held_out })
    }

    fn check(&self, classes: &[(usize, String)]) -> Result<()> {
        if classes.len() < 2 {
            let reason = format!(
                "telling classes apart needs at least two of them, there {}",
                match classes.len() {
                    0 => "is none",
                    _ => "is one",
                }
            );
            return Err(Error::Unsupported(reason));
        }
        for (at, (class, label)) in classes.iter().enumerate() {
            if classes[..at].iter().any(|(_, other)| other == label) {
                return Err(Error::Unsupported(format!("two classes are called `{label}`; give them different names")));
            }
            if self.example_count(*class) == 0 {
                return Err(Error::Unsupported(format!("there is no image of `{label}` yet")));
            }
        }
        Ok(())
    }

    /// The training and the held-out examples, with classes numbered as they are listed.
    fn examples_of(&self, classes: &[(usize, String)]) -> [Vec<Example>; 2] {
        let mut parts = [vec![], vec![]];
        for (index, (class, _)) in classes.iter().enumerate() {
            let own = self.examples.iter().filter(|example| example.class == *class);
            for (at, example) in own.enumerate() {
                let is_held_out = at % HELD_OUT == HELD_OUT - 1;
                parts[usize::from(is_held_out)].push(Example { class: index, features: example.features.clone() });
            }
        }
        parts
    }

    /// The features after a model.
    async fn through(&self, model: Option<&Model>, mut examples: Vec<Example>) -> Result<Vec<Example>> {
        let Some(model) = model else { return Ok(examples) };
        let mut session = Session::load(&self.adapter, model, Mode::Folded).await?;
        for example in &mut examples {
            example.features = run(&mut session, &example.features).await?;
        }
        Ok(examples)
    }

    /// The layers that are trained, before training.
    fn tail(&self, labels: &[String], options: &FineTuneOptions) -> Result<Model> {
        let before = self.block.as_ref().unwrap_or(&self.front).network();
        let inferred = before.infer(1)?;
        let [_, channels, height, width] = inferred.shape(inferred.outputs[0]);
        let head = doconv_head([channels, height, width], labels)?;
        let head = Model::initialised(head, options.seed)?.expand(None, 0.0, 0)?;
        match &self.block {
            Some(block) if options.last_block => block.join(&head),
            _ => Ok(head),
        }
    }

    async fn accuracy(&self, tail: &Model, examples: &[Example]) -> Result<Accuracy> {
        if examples.is_empty() {
            return Ok(Accuracy::default());
        }
        let mut session = Session::load(&self.adapter, tail, Mode::Folded).await?;
        let mut correct = 0;
        for example in examples {
            let logits = run(&mut session, &example.features).await?;
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            // Where a logit is NaN there is no best one.
            let is_right = best == Some(example.class) && !logits.iter().any(|logit| logit.is_nan());
            correct += usize::from(is_right);
        }
        Ok(Accuracy { correct, total: examples.len() })
    }
}

async fn run(session: &mut Session, features: &[f32]) -> Result<Vec<f32>> {
    let input = Tensor::new(session.inputs()[0].1, features.to_vec())?;
    Ok(session.run(&[input]).await?.swap_remove(0).into_data())
}

/// The last place where a network can be cut so that there is a DO-Conv layer behind.
fn last_block(network: &Network) -> Option<String> {
    let places = network.nodes.iter().rev().filter_map(|node| Some((&node.name, network.cut(&node.name).ok()?)));
    places.into_iter().find(|(_, [_, back])| has_doconv(back)).map(|(name, _)| name.clone())
}

fn has_doconv(network: &Network) -> bool {
    network.nodes.iter().any(|node| matches!(&node.op, Op::Conv2d(conv) if conv.doconv.is_some() && conv.taps() > 1))
}
