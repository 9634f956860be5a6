//! Choices of kernels in a browser: they lie in its database, which `tuning.js` knows how to use.

use js_sys::Function;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::options::TuneChoice;
use super::to_js;
use crate::gpu::policy::TuningFile;
use crate::gpu::{Device, TuneEvent, TuneListener};
use crate::{Adapter, AdapterInfo, Precision};

#[wasm_bindgen(raw_module = "./tuning.js")]
extern "C" {
    #[wasm_bindgen(js_name = storedTuning)]
    async fn stored_tuning() -> JsValue;
    #[wasm_bindgen(js_name = keepTuning)]
    async fn keep_tuning(json: String);
}

/// What is kept for all adapters of this browser; nothing where nothing can be.
async fn stored() -> TuningFile {
    let json = stored_tuning().await.as_string().unwrap_or_default();
    TuningFile::parse(&json).unwrap_or_default()
}

/// An adapter with the choices that were wanted.
pub(super) async fn equipped(adapter: Adapter, tune: TuneChoice, listener: Option<&Function>) -> Adapter {
    let info = adapter.info().clone();
    if adapter.gpu().is_none() {
        return adapter;
    }
    let stored = stored().await;
    let listener = listener.cloned();
    adapter.with_device(|device: &mut Device| match tune {
        TuneChoice::Off => device.forget_tuned(),
        TuneChoice::Load => device.add_tuned(&stored.of(&info, Precision::F32)),
        TuneChoice::Full => {
            device.add_tuned(&stored.of(&info, Precision::F32));
            device.tune_when_loading(TuneListener::new(move |event| tell(&info, &stored, listener.as_ref(), event)));
        }
    })
}

#[derive(Serialize)]
struct Report<'a> {
    done: usize,
    total: usize,
    label: &'a str,
}

fn tell(info: &AdapterInfo, stored: &TuningFile, listener: Option<&Function>, event: TuneEvent<'_>) {
    match event {
        TuneEvent::Step { label, done, total } => {
            if let Some((listener, report)) = listener.zip(to_js(&Report { done, total, label }).ok()) {
                // What a listener throws is its own affair.
                let _ = listener.call1(&JsValue::NULL, &report);
            }
        }
        TuneEvent::Finished { tuned, .. } => {
            let mut stored = stored.clone();
            stored.put(info, Precision::F32, tuned);
            spawn_local(keep_tuning(stored.to_json()));
        }
    }
}
