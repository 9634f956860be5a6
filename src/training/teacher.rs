//! Teaching a network new classes with a handful of pictures.

use std::ops::ControlFlow;

use oorandom::Rand64;

use super::head::HEAD_CONV;
use super::{Optimiser, Options, Schedule, Totals, Trainer, doconv_head, last_map, shuffle, targets};
use crate::gpu::Picture;
use crate::network::Op;
use crate::{Adapter, Error, Image, Mode, Model, Network, Result, Session, Tensor};

/// Images of a step; fewer where there are fewer.
const BATCH: usize = 16;
/// At least so often every picture is seen …
const EPOCHS: usize = 20;
/// … and at least so many steps are made …
const STEPS: usize = 80;
/// … unless the loss is as small as this by then: there is nothing left to learn of these pictures.
const LEARNT: f64 = 2e-3;
/// Of a class's pictures, one of so many is not learnt from but tried afterwards.
const HELD_BACK: usize = 5;

/// Teaches a classifier new classes: its last layers are replaced by a small DO-Conv head, which learns from what the layers
/// before make of pictures.
///
/// Every picture goes through the frozen layers once, when it is shown, so learning is quick.
///
/// ```no_run
/// # #[cfg(all(feature = "image", feature = "bundled-model"))]
/// # pollster::block_on(async {
/// use std::ops::ControlFlow;
///
/// use doconv::{Adapter, Image, Mode, Model, Session};
/// use doconv::training::{Lesson, Teacher};
///
/// let adapter = Adapter::cpu();
/// let mut teacher = Teacher::new(&adapter, &Model::bundled()?).await?;
/// teacher.show(0, &Image::open("photos/chelsea.png")?).await?;
/// teacher.show(1, &Image::open("photos/coffee.png")?).await?;
/// let classes = [(0, "Chelsea".to_owned()), (1, "coffee".to_owned())];
/// let taught = teacher.teach(&classes, &Lesson::default(), async |_| ControlFlow::Continue(())).await?;
/// let mut session = Session::load(&adapter, &taught.model.fold()?, Mode::Folded).await?;
/// let best = session.classify(&[Image::open("photos/chelsea.png")?], 1).await?;
/// assert_eq!(best[0][0].label, "Chelsea");
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Teacher {
    adapter: Adapter,
    front: Model,
    session: Session,
    /// What lies between the front and the head, where there is a DO-Conv layer to learn with.
    block: Option<Model>,
    examples: Vec<Example>,
}

#[derive(Debug)]
struct Example {
    class: usize,
    features: Vec<f32>,
}

/// What is learnt, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lesson {
    /// Whether the network's last DO-Conv layer and what follows it learn as well as the head.
    pub last_block: bool,
    /// Makes it reproducible.
    pub seed: u64,
}

/// How learning goes on, after every epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Epochs that are done.
    pub epoch: usize,
    /// All there are.
    pub epochs: usize,
    /// Loss and accuracy on what is learnt from, during this epoch.
    pub totals: Totals,
}

/// How many of some pictures are classified rightly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// So many.
    pub right: usize,
    /// Of so many.
    pub of: usize,
}

/// What has been learnt.
#[derive(Clone, Debug)]
pub struct Taught {
    /// The whole network, composed: [`Model::fold`] makes the one to ship.
    pub model: Model,
    /// On pictures that were held back, one in five of each class; folded.
    pub held_back: Score,
}

impl Teacher {
    /// Makes a classifier ready to be taught.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it takes no photographs, or if there are no layers before its last one; those of
    /// [`Session::load`].
    pub async fn new(adapter: &Adapter, model: &Model) -> Result<Self> {
        let model = model.fold_batch_norms()?;
        let taught = model.network().nodes.iter().find(|node| node.name == HEAD_CONV);
        // A network that was taught before loses that head.
        let last = match taught {
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
        session.photograph_rules()?;
        Ok(Self { adapter: adapter.clone(), front, session, block, examples: vec![] })
    }

    /// Goes on on another adapter, or on the same one opened anew; what was shown is kept.
    ///
    /// # Errors
    /// Those of [`Session::load`]; everything is as it was then.
    pub async fn move_to(&mut self, adapter: &Adapter) -> Result<()> {
        self.session = Session::load(adapter, &self.front, Mode::Folded).await?;
        self.adapter = adapter.clone();
        Ok(())
    }

    /// Whether [`Lesson::last_block`] is possible: some networks have no DO-Conv layer that all later ones depend on.
    pub fn has_last_block(&self) -> bool {
        self.block.is_some()
    }

    /// Shows a picture of a class.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub async fn show(&mut self, class: usize, image: &Image) -> Result<()> {
        self.show_picture(class, Picture::Pixels(image)).await
    }

    pub(crate) async fn show_picture(&mut self, class: usize, picture: Picture<'_>) -> Result<()> {
        let input = self.session.preprocess_pictures(&[picture]).await?;
        let features = self.session.run(&[input]).await?.swap_remove(0).into_data();
        self.examples.push(Example { class, features });
        Ok(())
    }

    /// How much of a photograph's shorter side is seen.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(crate) fn crop_fraction(&self) -> Result<f64> {
        self.session.crop_fraction()
    }

    /// How many pictures of a class were shown.
    pub fn count(&self, class: usize) -> usize {
        self.examples.iter().filter(|example| example.class == class).count()
    }

    /// Forgets the pictures of a class.
    pub fn forget(&mut self, class: usize) {
        self.examples.retain(|example| example.class != class);
    }

    /// Learns to tell classes apart, each given by its number and its name. What else was shown is left out. `progress` is
    /// called after every epoch and may end learning; what has been learnt until then is the result.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are fewer than two classes, two of the same name, or one without pictures; those of
    /// [`Trainer::new`] and of the adapter.
    pub async fn teach(
        &mut self,
        classes: &[(usize, String)],
        lesson: &Lesson,
        mut progress: impl AsyncFnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Taught> {
        self.check(classes)?;
        let labels: Vec<String> = classes.iter().map(|(_, label)| label.clone()).collect();
        let [learnt, held_back] = self.examples_of(classes);
        // What is frozen comes first, and is run once.
        let frozen = self.block.clone().filter(|_| !lesson.last_block);
        let (learnt, held_back) =
            (self.through(frozen.as_ref(), learnt).await?, self.through(frozen.as_ref(), held_back).await?);
        let front = frozen.map_or_else(|| Ok(self.front.clone()), |block| self.front.join(&block))?;
        let tail = self.tail(&labels, lesson)?;

        let batch = BATCH.min(learnt.len());
        let steps = learnt.len() / batch;
        let epochs = EPOCHS.max(STEPS.div_ceil(steps));
        let optimiser = Optimiser::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 };
        let options = Options { batch, optimiser, ..Options::default() };
        let mut trainer = Trainer::new(&self.adapter, &tail, &options).await?;
        // What knows a lot already is changed little.
        let rate = if lesson.last_block && self.block.is_some() { 2e-4 } else { 1e-3 };
        let mut random = Rand64::new(u128::from(lesson.seed));
        let mut order: Vec<usize> = (0..learnt.len()).collect();
        for epoch in 0..epochs {
            shuffle(&mut order, &mut random);
            for (step, places) in order.chunks_exact(batch).enumerate() {
                let features: Vec<f32> = places.iter().flat_map(|&at| &learnt[at].features).copied().collect();
                let labels: Vec<usize> = places.iter().map(|&at| learnt[at].class).collect();
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
        let held_back = self.score(&tail, &held_back).await?;
        Ok(Taught { model: front.join(&tail)?, held_back })
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
            if self.count(*class) == 0 {
                return Err(Error::Unsupported(format!("there is no picture of `{label}` yet")));
            }
        }
        Ok(())
    }

    /// What is learnt from and what is held back, with classes numbered as they are listed.
    fn examples_of(&self, classes: &[(usize, String)]) -> [Vec<Example>; 2] {
        let mut parts = [vec![], vec![]];
        for (index, (class, _)) in classes.iter().enumerate() {
            let own = self.examples.iter().filter(|example| example.class == *class);
            for (at, example) in own.enumerate() {
                let is_held_back = at % HELD_BACK == HELD_BACK - 1;
                parts[usize::from(is_held_back)].push(Example { class: index, features: example.features.clone() });
            }
        }
        parts
    }

    /// What a model makes of features.
    async fn through(&self, model: Option<&Model>, mut examples: Vec<Example>) -> Result<Vec<Example>> {
        let Some(model) = model else { return Ok(examples) };
        let mut session = Session::load(&self.adapter, model, Mode::Folded).await?;
        for example in &mut examples {
            example.features = run(&mut session, &example.features).await?;
        }
        Ok(examples)
    }

    /// What learns, before it has.
    fn tail(&self, labels: &[String], lesson: &Lesson) -> Result<Model> {
        let before = self.block.as_ref().unwrap_or(&self.front).network();
        let inferred = before.infer(1)?;
        let [_, channels, height, width] = inferred.shape(inferred.outputs[0]);
        let head = doconv_head([channels, height, width], labels)?;
        let head = Model::initialised(head, lesson.seed)?.expand(None, 0.0, 0)?;
        match &self.block {
            Some(block) if lesson.last_block => block.join(&head),
            _ => Ok(head),
        }
    }

    async fn score(&self, tail: &Model, examples: &[Example]) -> Result<Score> {
        if examples.is_empty() {
            return Ok(Score::default());
        }
        let mut session = Session::load(&self.adapter, tail, Mode::Folded).await?;
        let mut right = 0;
        for example in examples {
            let logits = run(&mut session, &example.features).await?;
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            // Where a logit is NaN there is no best one.
            let is_right = best == Some(example.class) && !logits.iter().any(|logit| logit.is_nan());
            right += usize::from(is_right);
        }
        Ok(Score { right, of: examples.len() })
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
