//! The function `benchmark`.

use std::ops::ControlFlow;
use std::time::Duration;

use js_sys::{Function, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::options::{self, BenchmarkOptions, LoadOptions};
use super::session_set::{Wanted, open_adapter};
use super::{error, model, to_js};
use crate::Result;
use crate::bench::{self, Environment, Options, Progress, Record, Suite};

/// Times well-known layers and the modes of a network, and checks every result; the same record as that of
/// `doconv bench --json`. Runs for minutes: call it in a worker.
///
/// # Errors
/// What is wrong with the model, the options or the adapter, in one line. A case that fails is part of the record.
#[wasm_bindgen(unchecked_return_type = "BenchmarkRecord")]
pub async fn benchmark(
    #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] model: JsValue,
    #[wasm_bindgen(unchecked_optional_param_type = "BenchmarkOptions")] options: JsValue,
) -> Result<JsValue, JsValue> {
    let listener = Reflect::get(&options, &"onProgress".into()).ok().and_then(|value| value.dyn_into().ok());
    let options: BenchmarkOptions = options::read(options).map_err(error)?;
    to_js(&run(&model, options, listener).await.map_err(error)?)
}

async fn run(model: &JsValue, options: BenchmarkOptions, listener: Option<Function>) -> Result<Record> {
    let load = LoadOptions { name: options.name, ..LoadOptions::default() };
    let opened = model::open(model::take(model, &load).await?, &load)?;
    let wanted = Wanted { adapter: options.adapter, tune: options.tune, listener: listener.clone() };
    let adapter = open_adapter(&wanted).await?;
    let defaults = Options::default();
    let wanted = Options {
        suites: options.suites.unwrap_or_else(|| vec![Suite::Layers, Suite::Networks]),
        filter: options.filter,
        budget: options.budget_ms.map_or(defaults.budget, |ms| Duration::from_secs_f64(ms.clamp(0.0, 1e9) / 1e3)),
        ..defaults
    };
    bench::run(&adapter, Some(&opened.model), &wanted, environment(), |progress| tell(listener.as_ref(), progress))
        .await
}

/// The listener ends the benchmark by returning `false`.
fn tell(listener: Option<&Function>, Progress { done, total, label }: Progress<'_>) -> ControlFlow<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        done: usize,
        total: usize,
        label: &'a str,
    }
    let answer = listener.zip(to_js(&Report { done, total, label }).ok());
    let answer = answer.and_then(|(listener, report)| listener.call1(&JsValue::NULL, &report).ok());
    if answer.is_some_and(|answer| answer.is_falsy() && !answer.is_undefined()) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn environment() -> Environment {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or_default();
    let told = |key: &str| Reflect::get(&navigator, &key.into()).ok().and_then(|value| value.as_string());
    let os = told("platform").filter(|os| !os.is_empty()).unwrap_or_else(|| "unknown".into());
    Environment { os, browser: told("userAgent"), threads: crate::cpu::threads() }
}
