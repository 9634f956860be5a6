//! Fine-tuning in a browser: the JavaScript class `Teacher` (feature `web-teach`).

use std::ops::ControlFlow;
use std::rc::Rc;

use futures_util::lock::Mutex;
use js_sys::{Function, Object, Promise, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::image_source::{Reader, Source};
use super::options::{self, LoadOptions, TeachOptions};
use super::session_set::{Wanted, open_adapter};
use super::{error, model, to_js};
use crate::formats::Dtype;
use crate::gpu::ImageSource;
use crate::training::{FineTuneOptions, FineTuned, FineTuner, Progress};
use crate::{Adapter, AdapterInfo, Error, Result};

/// Teaches a network new classes with a few pictures of each: its last layers give way to a small DO-Conv head.
#[wasm_bindgen]
pub struct Teacher {
    /// Calls wait here for their turn.
    shared: Rc<Mutex<Shared>>,
    adapter: AdapterInfo,
    has_last_block: bool,
}

struct Shared {
    tuner: FineTuner,
    reader: Reader,
    wanted: Wanted,
}

impl Shared {
    /// Runs an action. If the device is lost meanwhile, the adapter is opened again and the action is run once more.
    async fn with<T>(&mut self, mut action: impl AsyncFnMut(&mut FineTuner, &mut Reader) -> Result<T>) -> Result<T> {
        match action(&mut self.tuner, &mut self.reader).await {
            Err(Error::DeviceLost { .. }) => {
                let adapter = open_adapter(&self.wanted).await.unwrap_or_else(|_| Adapter::cpu());
                self.tuner.move_to(&adapter).await?;
                action(&mut self.tuner, &mut self.reader).await
            }
            other => other,
        }
    }
}

/// A class as the page has it.
#[derive(Deserialize)]
struct Class {
    id: usize,
    label: String,
}

#[derive(Serialize)]
struct Report {
    epoch: usize,
    epochs: usize,
    loss: f64,
    accuracy: f64,
}

#[wasm_bindgen]
impl Teacher {
    /// Reads a model file, or an ONNX file, of a network to be taught.
    ///
    /// # Errors
    /// What is wrong with the file, the options or the adapter, in one line.
    #[wasm_bindgen(unchecked_return_type = "Teacher")]
    pub async fn load(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] model: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "LoadOptions")] options: JsValue,
    ) -> Result<Teacher, JsValue> {
        load(&model, options).await.map_err(error)
    }

    /// Shows a picture of the class with this number, which is the caller's choice.
    ///
    /// # Errors
    /// What is wrong with the picture or the adapter, in one line.
    pub async fn show(
        &self,
        class: usize,
        #[wasm_bindgen(unchecked_param_type = "Source")] source: JsValue,
    ) -> Result<(), JsValue> {
        let source = Source::from_js(&source).await.map_err(error)?;
        let mut shared = self.shared.lock().await;
        let shown = shared.with(async |tuner, reader| {
            let square = source.square(reader, tuner.crop_fraction()?)?;
            tuner.add_image(class, ImageSource::Square(&square)).await
        });
        shown.await.map_err(error)
    }

    /// Forgets the pictures of a class.
    ///
    /// # Errors
    /// None that can be helped.
    pub async fn forget(&self, class: usize) -> Result<(), JsValue> {
        self.shared.lock().await.tuner.remove_examples(class);
        Ok(())
    }

    /// Learns to tell classes apart.
    ///
    /// # Errors
    /// What is wrong with the classes, the options or the adapter, in one line.
    #[wasm_bindgen(unchecked_return_type = "Taught")]
    pub async fn teach(
        &self,
        #[wasm_bindgen(unchecked_param_type = "{ id: number; label: string }[]")] classes: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "TeachOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let listener = Reflect::get(&options, &"onProgress".into()).ok().and_then(|value| value.dyn_into().ok());
        let options: TeachOptions = options::read(options).map_err(error)?;
        let classes: Vec<Class> = options::read(classes).map_err(error)?;
        let classes: Vec<(usize, String)> = classes.into_iter().map(|class| (class.id, class.label)).collect();
        let fine_tune = FineTuneOptions { last_block: options.last_block, seed: options.seed };
        let mut shared = self.shared.lock().await;
        let tuned = shared.with(async |tuner, _| {
            tuner.train(&classes, &fine_tune, async |progress| tell(listener.as_ref(), progress).await).await
        });
        tuned.await.and_then(|tuned| files(&tuned)).map_err(error)
    }

    /// What computes.
    ///
    /// # Errors
    /// None that can be helped.
    #[wasm_bindgen(getter, unchecked_return_type = "AdapterInfo")]
    pub fn adapter(&self) -> Result<JsValue, JsValue> {
        to_js(&self.adapter)
    }

    /// Whether the network has a last DO-Conv layer that can learn, too.
    #[wasm_bindgen(getter, js_name = hasLastBlock)]
    pub fn has_last_block(&self) -> bool {
        self.has_last_block
    }
}

async fn load(model: &JsValue, given: JsValue) -> Result<Teacher> {
    let options: LoadOptions = options::read(given)?;
    let wanted = Wanted { adapter: options.adapter, tune: options.tune, listener: None };
    let adapter = open_adapter(&wanted).await?;
    let opened = model::open(model::take(model, &options).await?, &options)?;
    let tuner = FineTuner::new(&adapter, &opened.model).await?;
    let has_last_block = tuner.has_last_block();
    let shared = Rc::new(Mutex::new(Shared { tuner, reader: Reader::default(), wanted }));
    Ok(Teacher { shared, adapter: adapter.info().clone(), has_last_block })
}

/// The listener may return a promise, so that its worker hears other messages meanwhile, and ends learning with `false`.
async fn tell(listener: Option<&Function>, Progress { epoch, epochs, totals }: Progress) -> ControlFlow<()> {
    let report = Report { epoch, epochs, loss: totals.mean_loss(), accuracy: totals.accuracy() };
    let answer = listener.zip(to_js(&report).ok());
    let Some(answer) = answer.and_then(|(listener, report)| listener.call1(&JsValue::NULL, &report).ok()) else {
        return ControlFlow::Continue(());
    };
    let answer = match answer.dyn_into::<Promise>() {
        Ok(promise) => JsFuture::from(promise).await.unwrap_or(JsValue::UNDEFINED),
        Err(answer) => answer,
    };
    if answer.is_falsy() && !answer.is_undefined() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Half precision: that is what the bundled network is in, so the layers that did not learn stay as they are.
fn files(tuned: &FineTuned) -> Result<JsValue> {
    let object = Object::new();
    let composed = Uint8Array::from(tuned.model.to_bytes(Dtype::F16)?.as_slice());
    let folded = Uint8Array::from(tuned.model.fold()?.to_bytes(Dtype::F16)?.as_slice());
    let entries: [(&str, JsValue); 4] = [
        ("composed", composed.into()),
        ("folded", folded.into()),
        ("heldBackRight", tuned.held_out.correct.into()),
        ("heldBack", tuned.held_out.total.into()),
    ];
    for (key, value) in entries {
        Reflect::set(&object, &key.into(), &value).map_err(|thrown| Error::Unsupported(super::message(&thrown)))?;
    }
    Ok(object.into())
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface TeachOptions {
    /** Whether the network's last DO-Conv layer and what follows it learn as well as the new head. */
    lastBlock?: boolean;
    seed?: number;
    /** Called after every epoch, on what is learnt from; `false`, or a promise of it, ends learning with what has come of it. */
    onProgress?: (progress: { epoch: number; epochs: number; loss: number; accuracy: number }) => boolean | void | Promise<boolean | void>;
}

export interface Taught {
    /** A model file with D and W. */
    composed: Uint8Array;
    /** The same function with ordinary kernels. */
    folded: Uint8Array;
    /** One in five pictures of a class is not learnt from, but classified afterwards: so many rightly … */
    heldBackRight: number;
    /** … of so many. */
    heldBack: number;
}
"#;
