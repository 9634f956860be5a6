//! ONNX files in the browser, as a WebAssembly module of its own (feature `web-onnx`): few visitors bring one, and the code
//! that reads them is a fifth of all. `web/package/onnx.js` fetches it when the first one comes.

use std::collections::BTreeMap;

use wasm_bindgen::prelude::*;

use crate::formats::{Dtype, onnx};
use crate::{Model, Result};

/// An ONNX file as a model file, which the main module reads; weights are f32.
///
/// # Errors
/// What is wrong with the file, in one line.
#[wasm_bindgen(js_name = toModelFile)]
pub fn to_model_file(name: &str, bytes: &[u8]) -> Result<Vec<u8>, JsValue> {
    let read = || -> Result<Vec<u8>> { import(name, bytes)?.to_bytes(Dtype::F32) };
    read().map_err(|error| js_sys::Error::new(&error.to_string()).into())
}

fn import(name: &str, bytes: &[u8]) -> Result<Model> {
    Ok(onnx::File::from_bytes(name, bytes)?.import(&BTreeMap::new())?.model)
}
