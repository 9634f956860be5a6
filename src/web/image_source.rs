//! Image sources in JavaScript: bitmaps, canvases, videos, `ImageData`.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    HtmlCanvasElement, HtmlImageElement, HtmlVideoElement, ImageBitmap, ImageData, OffscreenCanvas,
    OffscreenCanvasRenderingContext2d, VideoFrame,
};
use wgpu::ExternalImageSource;

use super::thrown;
use crate::image::{Square, on_white};
use crate::{Error, Image, Result};

/// A decoded image.
pub(super) enum Source {
    /// What WebGPU can copy from by itself.
    Browser(ExternalImageSource),
    /// Pixels in memory, with transparency.
    Data(ImageData),
}

impl Source {
    /// Tells what a value is; waits until an `<img>` has been decoded.
    pub(super) async fn from_js(value: &JsValue) -> Result<Self> {
        if let Some(image) = value.dyn_ref::<HtmlImageElement>() {
            return bitmap_of(image).await.map(|bitmap| Self::Browser(ExternalImageSource::ImageBitmap(bitmap)));
        }
        let cast = |value: &JsValue| {
            let value = value.clone();
            let value = match value.dyn_into::<ImageBitmap>() {
                Ok(bitmap) => return Ok(Self::Browser(ExternalImageSource::ImageBitmap(bitmap))),
                Err(value) => value,
            };
            let value = match value.dyn_into::<HtmlVideoElement>() {
                Ok(video) => return Ok(Self::Browser(ExternalImageSource::HTMLVideoElement(video))),
                Err(value) => value,
            };
            let value = match value.dyn_into::<HtmlCanvasElement>() {
                Ok(canvas) => return Ok(Self::Browser(ExternalImageSource::HTMLCanvasElement(canvas))),
                Err(value) => value,
            };
            let value = match value.dyn_into::<OffscreenCanvas>() {
                Ok(canvas) => return Ok(Self::Browser(ExternalImageSource::OffscreenCanvas(canvas))),
                Err(value) => value,
            };
            let value = match value.dyn_into::<VideoFrame>() {
                Ok(frame) => return Ok(Self::Browser(ExternalImageSource::VideoFrame(frame))),
                Err(value) => value,
            };
            value.dyn_into::<ImageData>().map(Self::Data).map_err(|value| {
                let what = value.js_typeof().as_string().unwrap_or_default();
                Error::Unsupported(format!(
                    "the source is not an image but {what}; use an ImageBitmap, HTMLCanvasElement, OffscreenCanvas, \
                     HTMLVideoElement, HTMLImageElement, VideoFrame or ImageData"
                ))
            })
        };
        let source = cast(value)?;
        match source.size() {
            [0, _] | [_, 0] => Err(Error::Image {
                name: "source".into(),
                reason: "has no pixels: a video that has not begun, or an image that was closed".into(),
            }),
            _ => Ok(source),
        }
    }

    /// Width and height.
    pub(super) fn size(&self) -> [usize; 2] {
        match self {
            Self::Browser(source) => [source.width() as usize, source.height() as usize],
            Self::Data(data) => [data.width() as usize, data.height() as usize],
        }
    }

    /// The pixels of the square that a network sees, on white where they are transparent.
    pub(super) fn square(&self, reader: &mut Reader, crop_fraction: f64) -> Result<Image> {
        let square = Square::central(self.size(), crop_fraction);
        let rgba = match self {
            Self::Data(data) => crop(&data.data(), data.width() as usize, square),
            Self::Browser(source) => reader.read(source, square)?,
        };
        let pixels = rgba.as_chunks::<4>().0;
        let rgb = pixels.iter().flat_map(|&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)]).collect();
        Image::from_rgb(square.side, square.side, rgb)
    }
}

fn crop(rgba: &[u8], width: usize, square: Square) -> Vec<u8> {
    let rows = rgba.chunks_exact(4 * width).skip(square.top).take(square.side);
    rows.flat_map(|row| &row[4 * square.left..][..4 * square.side]).copied().collect()
}

/// Reads pixels through a canvas, which is kept: frames of a camera are all alike.
#[derive(Default)]
pub(super) struct Reader {
    canvas: Option<(usize, OffscreenCanvasRenderingContext2d)>,
}

impl Reader {
    fn read(&mut self, source: &ExternalImageSource, square: Square) -> Result<Vec<u8>> {
        let Square { left, top, side } = square;
        let context = self.context(side)?;
        let area = side as f64;
        context.set_fill_style_str("white");
        context.fill_rect(0.0, 0.0, area, area);
        // The binding has one method per type of source, JavaScript has one for all.
        let draw: Function = Reflect::get(context, &"drawImage".into())
            .and_then(JsCast::dyn_into)
            .map_err(|error| thrown("reading an image", &error))?;
        let numbers = [left as f64, top as f64, area, area, 0.0, 0.0, area, area].map(JsValue::from);
        let arguments = js_sys::Array::of1(source);
        numbers.iter().for_each(|number| _ = arguments.push(number));
        draw.apply(context, &arguments).map_err(|error| thrown("reading an image", &error))?;
        let data = context
            .get_image_data(0.0, 0.0, area, area)
            .map_err(|error| thrown(&format!("reading an image of {side}×{side} pixels"), &error))?;
        Ok(data.data().0)
    }

    fn context(&mut self, side: usize) -> Result<&OffscreenCanvasRenderingContext2d> {
        let kept = match self.canvas.take() {
            Some(kept) if kept.0 == side => kept,
            _ => (side, new_context(side).map_err(|error| thrown("making a canvas", &error))?),
        };
        Ok(&self.canvas.insert(kept).1)
    }
}

fn new_context(side: usize) -> Result<OffscreenCanvasRenderingContext2d, JsValue> {
    let canvas = OffscreenCanvas::new(side as u32, side as u32)?;
    let options = object(&[("willReadFrequently", true.into()), ("alpha", false.into())])?;
    let context = canvas.get_context_with_context_options("2d", &options)?;
    context.map(JsCast::unchecked_into).ok_or_else(|| js_sys::Error::new("there is no 2D context").into())
}

/// The pixels of an `<img>` as they are in its file, without colour management.
async fn bitmap_of(image: &HtmlImageElement) -> Result<ImageBitmap> {
    let attempt = async {
        JsFuture::from(image.decode()).await?;
        let none = JsValue::from("none");
        let options = object(&[("premultiplyAlpha", none.clone()), ("colorSpaceConversion", none)])?;
        let global = js_sys::global();
        let make: Function = Reflect::get(&global, &"createImageBitmap".into())?.dyn_into()?;
        let promise: Promise = make.call2(&global, image, &options)?.dyn_into()?;
        JsFuture::from(promise).await?.dyn_into::<ImageBitmap>()
    };
    attempt.await.map_err(|error| thrown("decoding an <img>", &error))
}

fn object(entries: &[(&str, JsValue)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (key, value) in entries {
        Reflect::set(&object, &(*key).into(), value)?;
    }
    Ok(object)
}
