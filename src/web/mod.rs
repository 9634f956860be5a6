//! The JavaScript interface: what `doconv.js` exports. No arithmetic, only translation.
//!
//! Everything asynchronous is a promise; every failure is an `Error` whose message is one line for people.

mod benchmark;
mod classifier;
#[cfg(feature = "web-teach")]
mod fine_tune;
mod image_source;
mod model;
mod options;
mod session_set;
mod tuning;
mod typescript;
mod worker_group;

use wasm_bindgen::prelude::*;

use crate::Adapter;

/// Runs once when the module is instantiated: a panic says where it happened, not just `unreachable`.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| web_sys::console::error_1(&info.to_string().into())));
}

/// Every adapter of this browser, the best first; the CPU path is always last.
///
/// # Errors
/// None that can be helped.
#[wasm_bindgen(unchecked_return_type = "AdapterInfo[]")]
pub async fn adapters() -> Result<JsValue, JsValue> {
    to_js(&Adapter::list().await)
}

/// A plain JavaScript object.
fn to_js(value: &impl serde::Serialize) -> Result<JsValue, JsValue> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).map_err(error)
}

/// An `Error` with the message that the command line would print.
fn error(error: impl std::fmt::Display) -> JsValue {
    js_sys::Error::new(&error.to_string()).into()
}

/// What a browser's own function has thrown, in words.
fn thrown(doing: &str, value: &JsValue) -> crate::Error {
    crate::Error::Unsupported(format!("{doing}: {}", message(value)))
}

/// The message of an `Error`.
fn message(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.unwrap_or_else(|| format!("{error:?}"))
}
