//! The same for programs that are not async: every call waits.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::bench;
use crate::{Adapter, AdapterInfo, Image, Mode, Model, Prediction, Result, Selector, Tensor};

/// [`crate::Adapter::list`], waiting.
pub fn list_adapters() -> Vec<AdapterInfo> {
    pollster::block_on(Adapter::list())
}

/// [`crate::Adapter::open`], waiting.
///
/// # Errors
/// Those of [`crate::Adapter::open`].
pub fn open(selector: &Selector) -> Result<Adapter> {
    pollster::block_on(Adapter::open(selector))
}

/// [`crate::Session`], waiting.
///
/// ```
/// # #[cfg(all(feature = "image", feature = "bundled-model"))] {
/// use doconv::{Image, Mode, Model, Selector, blocking};
///
/// let adapter = blocking::open(&Selector::Auto)?;
/// let mut session = blocking::Session::load(&adapter, &Model::bundled()?, Mode::Folded)?;
/// let best = &session.classify(&[Image::open("photos/chelsea.png")?], 1)?[0][0];
/// assert!(best.label.contains("cat"));
/// # }
/// # Ok::<(), doconv::Error>(())
/// ```
#[derive(Debug)]
pub struct Session(crate::Session);

impl Session {
    /// [`crate::Session::load`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::load`].
    pub fn load(adapter: &Adapter, model: &Model, mode: Mode) -> Result<Self> {
        pollster::block_on(crate::Session::load(adapter, model, mode)).map(Self)
    }

    /// [`crate::Session::run`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::run`].
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        pollster::block_on(self.0.run(inputs))
    }

    /// [`crate::Session::run_named`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::run_named`].
    pub fn run_named(&mut self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
        pollster::block_on(self.0.run_named(inputs))
    }

    /// [`crate::Session::embed`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::embed`].
    pub fn embed(&mut self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.0.embed(images))
    }

    /// [`crate::Session::classify`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::classify`].
    pub fn classify(&mut self, images: &[Image], top_k: usize) -> Result<Vec<Vec<Prediction>>> {
        pollster::block_on(self.0.classify(images, top_k))
    }

    /// [`crate::Session::classify_each`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::classify_each`].
    pub fn classify_each(&mut self, images: &[Image], top_k: usize) -> Result<Vec<Result<Vec<Prediction>>>> {
        pollster::block_on(self.0.classify_each(images, top_k))
    }

    /// [`crate::Session::preprocess`], waiting.
    ///
    /// # Errors
    /// Those of [`crate::Session::preprocess`].
    pub fn preprocess(&mut self, images: &[Image]) -> Result<Tensor> {
        pollster::block_on(self.0.preprocess(images))
    }

    /// The session itself, for what needs no waiting.
    pub fn inner(&self) -> &crate::Session {
        &self.0
    }
}

/// [`crate::Layer::run`], waiting.
///
/// # Errors
/// Those of [`crate::Layer::run`].
pub fn run_layer(
    layer: &crate::Layer,
    adapter: &Adapter,
    mode: Mode,
    input: &Tensor,
    grad_output: Option<&Tensor>,
) -> Result<crate::Weights> {
    pollster::block_on(layer.run(adapter, mode, input, grad_output))
}

/// [`bench::run`], waiting.
///
/// # Errors
/// Those of [`bench::run`].
pub fn run_benchmark(
    adapter: &Adapter,
    model: Option<&Model>,
    options: &bench::Options,
    environment: bench::Environment,
    progress: impl FnMut(bench::Progress<'_>) -> ControlFlow<()>,
) -> Result<bench::Record> {
    pollster::block_on(bench::run(adapter, model, options, environment, progress))
}
