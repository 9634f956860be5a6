//! Preprocessing of images on the device: cut out, resized and normalised by shaders, to the bit as
//! [`crate::image::preprocess`] does it on the CPU.

use wgpu::util::DeviceExt;

use super::command::{Command, record};
#[cfg(any(not(target_arch = "wasm32"), feature = "web"))]
use crate::Error;
use crate::gpu::device::Device;
use crate::gpu::kernels::{ColumnParams, RowParams, columns, rows};
use crate::gpu::shader::{Dispatch, Scalar, ShaderKey, map_len, pack_map, stored};
use crate::image::{Square, WeightTable, preprocess};
use crate::network::Preprocess;
use crate::{Image, Precision, Result};

/// An image, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImageSource<'a> {
    /// Pixels in memory.
    Pixels(&'a Image),
    /// The square that a network sees, already cut out.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    Square(&'a Image),
    /// A texture of the same device.
    #[cfg(not(target_arch = "wasm32"))]
    Texture(&'a wgpu::Texture),
    /// What a browser holds, most likely on the device already. Its square must fit: see [`Preprocessor::fits`].
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    Browser(&'a wgpu::ExternalImageSource),
}

impl<'a> ImageSource<'a> {
    /// What [`preprocess`] makes of the pixels, where they are in memory.
    pub(crate) fn preprocess(&self, how: &Preprocess, height: usize, width: usize, out: &mut [f32]) -> Result<()> {
        match self {
            ImageSource::Pixels(image) => preprocess(image, how, height, width, out),
            #[cfg(not(target_arch = "wasm32"))]
            ImageSource::Texture(texture) => Err(Error::Unsupported(format!(
                "a texture of {}×{} pixels cannot be preprocessed here: that takes the GPU that has it, a network for colour \
                 images, and a texture within the GPU's limits",
                texture.width(),
                texture.height()
            ))),
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Square(image) => {
                preprocess(image, &Preprocess { crop_fraction: 1.0, ..how.clone() }, height, width, out)
            }
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Browser(source) => Err(Error::Unsupported(format!(
                "an image of {}×{} pixels cannot be preprocessed on this adapter",
                source.width(),
                source.height()
            ))),
        }
    }

    /// The part that a network sees.
    fn square(&self, how: &Preprocess) -> Square {
        match self {
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Square(_) => Square::central(self.size(), 1.0),
            _ => Square::central(self.size(), how.crop_fraction),
        }
    }

    fn size(&self) -> [usize; 2] {
        match self {
            ImageSource::Pixels(image) => [image.width(), image.height()],
            #[cfg(not(target_arch = "wasm32"))]
            ImageSource::Texture(texture) => [texture.width() as usize, texture.height() as usize],
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Square(image) => [image.width(), image.height()],
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Browser(source) => [source.width() as usize, source.height() as usize],
        }
    }
}

/// Turns images into a network's input `[3, height, width]`.
#[derive(Debug)]
pub(super) struct Preprocessor {
    device: Device,
    how: Preprocess,
    height: usize,
    width: usize,
    /// In which the map is stored.
    precision: Precision,
    rows: wgpu::ComputePipeline,
    columns: wgpu::ComputePipeline,
    /// For every level of red, green and blue, the number that the network wants.
    levels: wgpu::Buffer,
    /// What depends on the square's size, for the last one: frames of a camera are all alike.
    resources: Option<Resources>,
}

/// Everything for squares of one size.
#[derive(Debug)]
struct Resources {
    side: usize,
    texture: wgpu::Texture,
    rows: Vec<Command>,
    narrow: wgpu::Buffer,
    column_weights: wgpu::Buffer,
    column_taps: usize,
}

impl Preprocessor {
    pub(super) async fn new(
        device: &Device,
        how: &Preprocess,
        [height, width]: [usize; 2],
        precision: Precision,
    ) -> Result<Self> {
        let shaders = shaders(precision);
        let mut pipelines = device.pipelines(shaders.iter().cloned()).await?;
        let [rows, columns] = shaders.map(|shader| pipelines.remove(&shader).expect("just made"));
        let level = |level: u16, channel: usize| (f32::from(level) - how.mean[channel]) / how.std[channel];
        let levels: Vec<f32> = (0..256).flat_map(|at| [level(at, 0), level(at, 1), level(at, 2), 0.0]).collect();
        let levels = device
            .checked("allocating for preprocessing", || storage(device, "levels", bytemuck::cast_slice(&levels)))
            .await?;
        Ok(Self {
            device: device.clone(),
            how: how.clone(),
            height,
            width,
            precision,
            rows,
            columns,
            levels,
            resources: None,
        })
    }

    /// Whether images of this width and height can be preprocessed here.
    #[cfg(all(target_arch = "wasm32", feature = "web"))]
    pub(super) fn fits(&self, size: [usize; 2]) -> bool {
        self.fits_square(Square::central(size, self.how.crop_fraction))
    }

    fn fits_square(&self, Square { side, .. }: Square) -> bool {
        let bytes = 4 * (side as u64) * self.width as u64;
        side <= self.device.device.limits().max_texture_dimension_2d as usize
            && self.width.max(self.height) <= 1 << 16
            && bytes <= self.device.largest_binding()
    }

    /// Writes images into a map for a batch of them.
    pub(super) async fn fill(&mut self, images: &[ImageSource<'_>], map: &wgpu::Buffer) -> Result<()> {
        for (index, image) in images.iter().enumerate() {
            let square = image.square(&self.how);
            if !self.fits_square(square) {
                self.fill_from_cpu(image, map, index)?;
                continue;
            }
            if self.resources.as_ref().is_none_or(|resources| resources.side != square.side) {
                let device = self.device.clone();
                // The old one goes before the new one comes.
                self.resources = None;
                self.resources =
                    Some(device.checked("allocating for an image", || self.resources_for(square.side)).await?);
            }
            let Some(resources) = &self.resources else { continue };
            self.device.checked("preprocessing an image", || self.submit(resources, image, square, map, index)).await?;
        }
        Ok(())
    }

    fn resources_for(&self, side: usize) -> Resources {
        let device = &self.device;
        let extent = wgpu::Extent3d { width: side as u32, height: side as u32, depth_or_array_layers: 1 };
        let texture = device.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("image"),
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            // What browsers copy they may render.
            usage: wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::COPY_DST
                | wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let row_table = WeightTable::new(side, self.width, self.how.filter);
        let column_table = WeightTable::new(side, self.height, self.how.filter);
        let row_weights = storage(device, "weights of rows", bytemuck::cast_slice(&row_table.values));
        let column_weights = storage(device, "weights of columns", bytemuck::cast_slice(&column_table.values));
        let narrow = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("image, narrowed"),
            size: (4 * side * self.width) as u64,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let params = RowParams { side: side as u32, width: self.width as u32, taps: row_table.taps as u32 };
        let [shader, _] = shaders(self.precision);
        let dispatch = Dispatch::new("rows of an image", shader, &params, vec![], [self.width, side, 1]);
        let texture_view = texture.create_view(&Default::default());
        let rows = self.commands(
            &self.rows,
            &dispatch,
            &[
                entry(1, wgpu::BindingResource::TextureView(&texture_view)),
                entry(2, row_weights.as_entire_binding()),
                entry(3, narrow.as_entire_binding()),
            ],
        );
        Resources { side, texture, rows, narrow, column_weights, column_taps: column_table.taps }
    }

    fn submit(&self, resources: &Resources, image: &ImageSource<'_>, square: Square, map: &wgpu::Buffer, index: usize) {
        let device = &self.device;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        self.upload(&mut encoder, resources, image, square);
        let params = ColumnParams {
            width: self.width as u32,
            height: self.height as u32,
            taps: resources.column_taps as u32,
            first: (index * self.width * self.height) as u32,
        };
        let [_, shader] = shaders(self.precision);
        let dispatch = Dispatch::new("columns of an image", shader, &params, vec![], [self.width, self.height, 1]);
        let columns = self.commands(
            &self.columns,
            &dispatch,
            &[
                entry(1, resources.narrow.as_entire_binding()),
                entry(2, resources.column_weights.as_entire_binding()),
                entry(3, self.levels.as_entire_binding()),
                entry(4, map.as_entire_binding()),
            ],
        );
        record(&mut encoder, &resources.rows);
        record(&mut encoder, &columns);
        // One submission each: the next image goes through the same texture.
        device.queue.submit([encoder.finish()]);
    }

    /// A dispatch with what it binds beside its parameters.
    fn commands(
        &self,
        pipeline: &wgpu::ComputePipeline,
        dispatch: &Dispatch,
        bound: &[wgpu::BindGroupEntry<'_>],
    ) -> Vec<Command> {
        let bind = |part| {
            let params = uniform(&self.device, &dispatch.params_of(&part));
            let entries = [&[entry(0, params.as_entire_binding())], bound].concat();
            let bind_group = self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&dispatch.label),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            Command::new(pipeline.clone(), bind_group, &part)
        };
        dispatch.parts().into_iter().map(bind).collect()
    }

    #[cfg_attr(target_arch = "wasm32", allow(unused_variables))]
    fn upload(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        resources: &Resources,
        image: &ImageSource<'_>,
        square: Square,
    ) {
        match image {
            #[cfg(not(target_arch = "wasm32"))]
            ImageSource::Texture(texture) => {
                let origin = wgpu::Origin3d { x: square.left as u32, y: square.top as u32, z: 0 };
                let from = wgpu::TexelCopyTextureInfo { origin, ..texture.as_image_copy() };
                encoder.copy_texture_to_texture(from, resources.texture.as_image_copy(), resources.texture.size());
            }
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Square(image) => self.upload_pixels(resources, image, square),
            ImageSource::Pixels(image) => self.upload_pixels(resources, image, square),
            #[cfg(all(target_arch = "wasm32", feature = "web"))]
            ImageSource::Browser(source) => {
                let from = wgpu::CopyExternalImageSourceInfo {
                    source: (*source).clone(),
                    origin: wgpu::Origin2d { x: square.left as u32, y: square.top as u32 },
                    flip_y: false,
                };
                let to = wgpu::CopyExternalImageDestInfo {
                    texture: &resources.texture,
                    mip_level: 0,
                    origin: wgpu::Origin3d::ZERO,
                    aspect: wgpu::TextureAspect::All,
                    color_space: wgpu::PredefinedColorSpace::Srgb,
                    premultiplied_alpha: false,
                };
                self.device.queue.copy_external_image_to_texture(&from, to, resources.texture.size());
            }
        }
    }

    fn upload_pixels(&self, resources: &Resources, image: &Image, square: Square) {
        let side = square.side;
        let rows = image.rgb().chunks_exact(3 * image.width()).skip(square.top).take(side);
        let pixels = rows.flat_map(|row| row[3 * square.left..][..3 * side].as_chunks::<3>().0);
        let rgba: Vec<u8> = pixels.flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
        let layout =
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * side as u32), rows_per_image: None };
        self.device.queue.write_texture(resources.texture.as_image_copy(), &rgba, layout, resources.texture.size());
    }

    /// For images that are too large for the device.
    fn fill_from_cpu(&self, image: &ImageSource<'_>, map: &wgpu::Buffer, index: usize) -> Result<()> {
        let shape = [1, 3, self.height, self.width];
        let mut planes = vec![0.0; 3 * self.height * self.width];
        image.preprocess(&self.how, self.height, self.width, &mut planes)?;
        let mut packed = vec![0.0; map_len(shape)];
        pack_map(shape, &planes, &mut packed);
        let bytes = stored(Scalar::stored_in(self.precision), &packed);
        self.device.queue.write_buffer(map, (index * bytes.len()) as u64, &bytes);
        Ok(())
    }
}

/// The shaders for rows and columns.
fn shaders(precision: Precision) -> [ShaderKey; 2] {
    [rows(), columns()].map(|shader| shader.in_precision(precision))
}

fn entry(binding: u32, resource: wgpu::BindingResource<'_>) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource }
}

fn storage(device: &Device, label: &str, contents: &[u8]) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE;
    device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage })
}

fn uniform(device: &Device, contents: &[u8]) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::UNIFORM;
    device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some("parameters"), contents, usage })
}
