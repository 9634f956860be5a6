//! The class `Classifier`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::lock::Mutex;
use js_sys::{Float32Array, Object, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_time::Instant;

use super::image_source::{Reader, Source};
use super::model::{self, ModelInfo};
use super::options::{self, ClassifyOptions, CompareOptions, LoadOptions};
use super::session_set::{Facts, SessionSet, Wanted, open_adapter};
use super::worker_group::Leader;
use super::{error, to_js};
use crate::bench::statistics::median;
use crate::gpu::ImageSource;
use crate::{LoadTimes, Mode, Model, Prediction, Result, Session};

/// A model on an adapter.
#[wasm_bindgen]
pub struct Classifier {
    /// Calls wait here for their turn.
    shared: Rc<Mutex<Shared>>,
    facts: Rc<RefCell<Facts>>,
    weights: Rc<Model>,
    info: ModelInfo,
    default_mode: Mode,
    read: Duration,
}

struct Shared {
    sessions: SessionSet,
    reader: Reader,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Classification {
    predictions: Vec<Prediction>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModeResult {
    mode: &'static str,
    elapsed_ms: f64,
    macs: u64,
    largest_difference: f32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    read_ms: f64,
    open_ms: f64,
    upload_ms: f64,
    compile_ms: f64,
    check_ms: f64,
    fold_ms: f64,
    total_ms: f64,
}

#[wasm_bindgen]
impl Classifier {
    /// Reads a model file or an ONNX file and makes it ready on an adapter.
    ///
    /// # Errors
    /// What is wrong with the file, the options or the adapter, in one line.
    #[wasm_bindgen(unchecked_return_type = "Classifier")]
    pub async fn load(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] model: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "LoadOptions")] options: JsValue,
    ) -> Result<Classifier, JsValue> {
        load(&model, options).await.map_err(error)
    }

    /// The best classes of an image.
    ///
    /// # Errors
    /// What is wrong with the image, the options or the adapter, in one line.
    #[wasm_bindgen(unchecked_return_type = "Classification")]
    pub async fn classify(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Source")] source: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "ClassifyOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: ClassifyOptions = options::read(options).map_err(error)?;
        let mode = options.mode.unwrap_or(self.default_mode);
        let source = Source::from_js(&source).await.map_err(error)?;
        let mut shared = self.shared.lock().await;
        let Shared { sessions, reader } = &mut *shared;
        let top_k = options.top_k.unwrap_or(5);
        let result = sessions
            .with(mode, async |session| {
                let start = Instant::now();
                let predictions = classify(session, reader, &source, top_k).await?;
                Ok(Classification { predictions, elapsed_ms: milliseconds(start.elapsed()) })
            })
            .await;
        to_js(&result.map_err(error)?)
    }

    /// The same image in all three modes: what it costs, and how far the probabilities are apart.
    ///
    /// # Errors
    /// Those of `classify`.
    #[wasm_bindgen(js_name = compareModes, unchecked_return_type = "ModeResult[]")]
    pub async fn compare_modes(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Source")] source: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "CompareOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: CompareOptions = options::read(options).map_err(error)?;
        let source = Source::from_js(&source).await.map_err(error)?;
        let mut shared = self.shared.lock().await;
        let results = compare(&mut shared, &self.info, &source, options.repeat.unwrap_or(3).clamp(1, 1000)).await;
        to_js(&results.map_err(error)?)
    }

    /// What computes.
    ///
    /// # Errors
    /// None that can be helped.
    #[wasm_bindgen(getter, unchecked_return_type = "AdapterInfo")]
    pub fn adapter(&self) -> Result<JsValue, JsValue> {
        to_js(&self.facts.borrow().adapter)
    }

    /// What was loaded.
    ///
    /// # Errors
    /// None that can be helped.
    #[wasm_bindgen(getter, unchecked_return_type = "ModelInfo")]
    pub fn model(&self) -> Result<JsValue, JsValue> {
        to_js(&self.info)
    }

    /// How long loading took, the last time.
    ///
    /// # Errors
    /// None that can be helped.
    #[wasm_bindgen(getter, js_name = loadTimes, unchecked_return_type = "LoadTimes")]
    pub fn load_times(&self) -> Result<JsValue, JsValue> {
        to_js(&Times::new(self.read, &self.facts.borrow()))
    }

    /// How often a lost device was replaced.
    #[wasm_bindgen(getter)]
    pub fn rebuilds(&self) -> u32 {
        self.facts.borrow().rebuilds
    }

    /// The layers that hold a D and a W.
    ///
    /// # Errors
    /// None that can be helped.
    #[wasm_bindgen(unchecked_return_type = "DoConvLayer[]")]
    pub fn layers(&self) -> Result<JsValue, JsValue> {
        to_js(&model::layers(&self.weights))
    }

    /// D, w and the folded kernel for one output channel and one of its input channels.
    ///
    /// # Errors
    /// There is no such layer or channel, or the layer has no D and W.
    #[wasm_bindgen(unchecked_return_type = "Factors")]
    pub fn factors(&self, layer: &str, output_channel: usize, input_in_group: usize) -> Result<JsValue, JsValue> {
        let found = model::factors(&self.weights, layer, output_channel, input_in_group);
        factors(&found.map_err(error)?)
    }
}

async fn load(model: &JsValue, given: JsValue) -> Result<Classifier> {
    let listener = Reflect::get(&given, &"onTuning".into()).ok().and_then(|value| value.dyn_into().ok());
    let options: LoadOptions = options::read(given.clone())?;
    let wanted = Wanted { adapter: options.adapter, tune: options.tune, listener };
    let start = Instant::now();
    let adapter = open_adapter(&wanted).await?;
    let leader = if adapter.gpu().is_none() { Leader::gather(options.threads).await } else { None };
    let open = start.elapsed();
    let start = Instant::now();
    let file = model::take(model, &options).await?;
    // While this thread reads the network, the others do too.
    let leader = leader.map(|leader| (leader.load(&file.outside, &given), leader));
    let opened = model::open(file, &options)?;
    let read = start.elapsed();
    let weights = Rc::new(opened.model);
    let mut sessions = SessionSet::new(weights.clone(), wanted, (adapter, open));
    let default_mode = options.mode;
    sessions.with(default_mode, async |_| Ok(())).await?;
    if let Some((loading, leader)) = leader
        && let Some(leader) = leader.ready(loading).await
    {
        sessions.share(leader);
    }
    let facts = sessions.facts();
    let shared = Rc::new(Mutex::new(Shared { sessions, reader: Reader::default() }));
    Ok(Classifier { shared, facts, weights, info: opened.info, default_mode, read })
}

async fn classify(
    session: &mut Session,
    reader: &mut Reader,
    source: &Source,
    top_k: usize,
) -> Result<Vec<Prediction>> {
    let best = match source {
        Source::Browser(external) if session.accepts_image_of_size(source.size()).await? => {
            session.classify_images(&[ImageSource::Browser(external)], top_k).await?
        }
        _ => {
            let square = source.square(reader, session.crop_fraction()?)?;
            session.classify_images(&[ImageSource::Square(&square)], top_k).await?
        }
    };
    best.into_iter().next().unwrap_or_else(|| Ok(vec![]))
}

async fn compare(shared: &mut Shared, info: &ModelInfo, source: &Source, repeat: usize) -> Result<Vec<ModeResult>> {
    let Shared { sessions, reader } = shared;
    let mut folded = vec![];
    let mut results = vec![];
    for mode in Mode::ALL {
        let (probabilities, elapsed_ms): (Vec<f32>, f64) = sessions
            .with(mode, async |session| {
                let all = classify(session, reader, source, usize::MAX).await?;
                let mut probabilities = vec![0.0; all.len()];
                all.iter().for_each(|prediction| probabilities[prediction.class] = prediction.probability);
                let mut times = vec![];
                for _ in 0..repeat {
                    let start = Instant::now();
                    classify(session, reader, source, 5).await?;
                    times.push(milliseconds(start.elapsed()));
                }
                Ok((probabilities, median(&times).unwrap_or_default()))
            })
            .await?;
        if mode == Mode::Folded {
            folded = probabilities.clone();
        }
        let differences = probabilities.iter().zip(&folded).map(|(a, b)| (a - b).abs());
        results.push(ModeResult {
            mode: mode.name(),
            elapsed_ms,
            macs: info.macs(mode),
            largest_difference: differences.fold(0.0, f32::max),
        });
    }
    Ok(results)
}

fn factors(factors: &model::Factors) -> Result<JsValue, JsValue> {
    let object = Object::new();
    let entries: [(&str, JsValue); 6] = [
        ("d", Float32Array::from(factors.d.as_slice()).into()),
        ("w", Float32Array::from(factors.w.as_slice()).into()),
        ("kernel", Float32Array::from(factors.kernel.as_slice()).into()),
        ("kernelSize", to_js(&factors.kernel_size)?),
        ("dMul", factors.d_mul.into()),
        ("inputChannel", factors.input_channel.into()),
    ];
    for (key, value) in entries {
        Reflect::set(&object, &key.into(), &value)?;
    }
    Ok(object.into())
}

impl Times {
    fn new(read: Duration, facts: &Facts) -> Self {
        let (open, LoadTimes { upload, compile, check, fold }) = (facts.open, facts.times);
        Self {
            read_ms: milliseconds(read),
            open_ms: milliseconds(open),
            upload_ms: milliseconds(upload),
            compile_ms: milliseconds(compile),
            check_ms: milliseconds(check),
            fold_ms: milliseconds(fold),
            total_ms: milliseconds(read + open + upload + compile + check + fold),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
