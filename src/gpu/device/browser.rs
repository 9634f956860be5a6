//! What wgpu does not pass on of a browser's WebGPU.

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::bindings::{Binding, bindings};

/// What a browser tells of its adapter; wgpu knows the description only (gfx-rs/wgpu#8819). Any of it may be empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Info {
    pub(super) vendor: String,
    pub(super) architecture: String,
    pub(super) device: String,
    pub(super) description: String,
}

/// Asks the browser for its best adapter.
pub(super) async fn adapter_info() -> Option<Info> {
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let options = object([("powerPreference", "high-performance".into())]);
    let adapter =
        JsFuture::from(call(&gpu, "requestAdapter", &options).ok()?.dyn_into::<Promise>().ok()?).await.ok()?;
    let info = get(&adapter, "info")?;
    let text = |key| get(&info, key).and_then(|value| value.as_string()).unwrap_or_default();
    Some(Info {
        vendor: text("vendor"),
        architecture: text("architecture"),
        device: text("device"),
        description: text("description"),
    })
}

/// Lets the browser compile shaders side by side and away from the thread that draws, which wgpu has no function for.
/// What wgpu compiles afterwards with the same layouts is found in the browser's cache. Errors are left to it, too.
pub(super) async fn compile_ahead(device: &wgpu::Device, shaders: &[String]) {
    let Some(device) = device.as_webgpu() else { return };
    let device: &JsValue = device.as_ref();
    let promises = Array::new();
    for wgsl in shaders {
        if let Ok(promise) = start_compiling(device, wgsl) {
            promises.push(&promise);
        }
    }
    let _ = JsFuture::from(Promise::all_settled(&promises)).await;
}

fn start_compiling(device: &JsValue, wgsl: &str) -> Result<JsValue, JsValue> {
    let module = call(device, "createShaderModule", &object([("code", wgsl.into())]))?;
    let entries: Array = bindings(wgsl).iter().map(|&(number, kind)| entry(number, kind)).collect();
    let group = call(device, "createBindGroupLayout", &object([("entries", entries.into())]))?;
    let layout = object([("bindGroupLayouts", Array::of1(&group).into())]);
    let layout = call(device, "createPipelineLayout", &layout)?;
    let compute = object([("module", module), ("entryPoint", "main".into())]);
    call(device, "createComputePipelineAsync", &object([("layout", layout), ("compute", compute.into())]))
}

fn entry(number: u32, kind: Binding) -> JsValue {
    /// `GPUShaderStage.COMPUTE`.
    const COMPUTE: u32 = 4;
    let buffer = |kind: &str| ("buffer", object([("type", kind.into())]).into());
    let resource: (&str, JsValue) = match kind {
        Binding::Uniform => buffer("uniform"),
        Binding::Read => buffer("read-only-storage"),
        Binding::Write => buffer("storage"),
        Binding::Texture => ("texture", object([("sampleType", "float".into())]).into()),
    };
    object([("binding", number.into()), ("visibility", COMPUTE.into()), resource]).into()
}

fn get(object: &JsValue, key: &str) -> Option<JsValue> {
    Reflect::get(object, &key.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

fn call(object: &JsValue, method: &str, argument: &JsValue) -> Result<JsValue, JsValue> {
    Reflect::get(object, &method.into())?.dyn_into::<Function>()?.call1(object, argument)
}

fn object<const N: usize>(entries: [(&str, JsValue); N]) -> Object {
    let object = Object::new();
    for (key, value) in entries {
        // A new object takes every property.
        let _ = Reflect::set(&object, &key.into(), &value);
    }
    object
}
