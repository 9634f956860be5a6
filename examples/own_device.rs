//! What a render pass draws, classified on the program's own device: `cargo run --example own_device`.

use doconv::wgpu::{self, TextureUsages};
use doconv::{Adapter, Image, Mode, Model, Session};

/// A triangle over the whole target, with the pixels of the photo.
const SHADER: &str = "
@group(0) @binding(0) var photo: texture_2d<f32>;
@vertex fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}
@fragment fn colour(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return textureLoad(photo, vec2<u32>(at.xy), 0);
}";

async fn classify() -> doconv::Result<()> {
    let adapter = wgpu::Instance::default().request_adapter(&Default::default()).await.expect("a GPU");
    let (device, queue) = adapter.request_device(&Default::default()).await.expect("a device");
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png"))?;
    let size = wgpu::Extent3d { width: image.width() as u32, height: image.height() as u32, depth_or_array_layers: 1 };
    let [photo, target] = [
        TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST,
        TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC,
    ]
    .map(|usage| {
        device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage,
            view_formats: &[],
        })
    });
    let pixels: Vec<u8> = image.rgb().chunks(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * size.width), rows_per_image: None };
    queue.write_texture(photo.as_image_copy(), &pixels, layout, size);
    draw(&device, &queue, &photo, &target);

    let adapter = Adapter::from_wgpu(device, queue)?;
    let mut session = Session::load(&adapter, &Model::bundled()?, Mode::Folded).await?;
    println!("on {}:", adapter.info().name);
    for prediction in &session.classify_textures(&[&target], 3).await?[0] {
        println!("{:5.1} %  {}", 100.0 * prediction.probability, prediction.label);
    }
    Ok(())
}

fn draw(device: &wgpu::Device, queue: &wgpu::Queue, photo: &wgpu::Texture, target: &wgpu::Texture) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            targets: &[Some(target.format().into())],
        }),
        multiview_mask: None,
        cache: None,
    });
    let photo = wgpu::BindingResource::TextureView(&photo.create_view(&Default::default()));
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: photo }],
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let attachment = wgpu::RenderPassColorAttachment {
        view: &target.create_view(&Default::default()),
        depth_slice: None,
        resolve_target: None,
        ops: Default::default(),
    };
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &[Some(attachment)],
        ..Default::default()
    });
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.draw(0..3, 0..1);
    drop(pass);
    queue.submit([encoder.finish()]);
}

fn main() -> doconv::Result<()> {
    pollster::block_on(classify())
}
