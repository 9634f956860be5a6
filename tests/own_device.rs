//! A program's own wgpu device: networks run on it, and its textures are classified.

#![cfg(all(feature = "image", feature = "bundled-model"))]

use doconv::wgpu::{self, TextureFormat, TextureUsages};
use doconv::{Adapter, AdapterKind, Error, Image, Mode, Model, Selector, Session};
use pollster::block_on;

/// A device with nothing but what every device has, for each GPU adapter.
fn devices(limits: &wgpu::Limits) -> Vec<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::default();
    let adapters = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
    adapters.iter().map(|adapter| block_on(adapter.request_device(&descriptor)).unwrap()).collect()
}

/// The image as a texture of a device.
fn texture(
    (device, queue): &(wgpu::Device, wgpu::Queue),
    image: &Image,
    format: TextureFormat,
    usage: TextureUsages,
) -> wgpu::Texture {
    let size = wgpu::Extent3d { width: image.width() as u32, height: image.height() as u32, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: usage | TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let rgba: Vec<u8> = image.rgb().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * size.width), rows_per_image: None };
    queue.write_texture(texture.as_image_copy(), &rgba, layout, size);
    texture
}

#[test]
fn a_texture_is_classified_as_its_image_is() {
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png")).unwrap();
    let model = Model::bundled().unwrap();
    for own in devices(&wgpu::Limits::default()) {
        let adapter = Adapter::from_wgpu(own.0.clone(), own.1.clone()).unwrap();
        assert!(adapter.info().kind != AdapterKind::Cpu && adapter.gpu().is_some());
        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let want = block_on(session.classify(std::slice::from_ref(&image), 5)).unwrap();
        assert!(want[0][0].label.contains("cat"), "{:?}", want[0]);
        for format in [TextureFormat::Rgba8Unorm, TextureFormat::Rgba8UnormSrgb] {
            let texture = texture(&own, &image, format, TextureUsages::COPY_SRC);
            let got = block_on(session.classify_textures(&[&texture, &texture], 5)).unwrap();
            let both = block_on(session.classify(&[image.clone(), image.clone()], 5)).unwrap();
            assert_eq!(got, both, "{}", adapter.info().name);
        }
        let fails_for = |session: &mut Session, format, usage, word: &str| {
            let texture = texture(&own, &image, format, usage);
            let error = block_on(session.classify_textures(&[&texture], 5)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        fails_for(&mut session, TextureFormat::Bgra8Unorm, TextureUsages::COPY_SRC, "Bgra8Unorm");
        fails_for(&mut session, TextureFormat::Rgba8Unorm, TextureUsages::empty(), "COPY_SRC");
        let mut on_cpu = block_on(Session::load(&Adapter::cpu(), &model, Mode::Folded)).unwrap();
        fails_for(&mut on_cpu, TextureFormat::Rgba8Unorm, TextureUsages::COPY_SRC, "takes the GPU");
    }
}

/// Textures of another device are refused before wgpu sees them, and a lost device is told.
#[test]
fn what_is_not_there_is_said() {
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/chelsea.png")).unwrap();
    let model = Model::bundled().unwrap();
    for own in devices(&wgpu::Limits::default()) {
        let adapter = Adapter::from_wgpu(own.0.clone(), own.1.clone()).unwrap();
        let texture = texture(&own, &image, TextureFormat::Rgba8Unorm, TextureUsages::COPY_SRC);
        let opened = block_on(Adapter::open(&Selector::Named(adapter.info().name.clone()))).unwrap();
        let mut session = block_on(Session::load(&opened, &model, Mode::Folded)).unwrap();
        let error = block_on(session.classify_textures(&[&texture], 1)).unwrap_err().to_string();
        assert!(error.contains("Adapter::from_wgpu"), "{error}");

        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        block_on(session.classify(std::slice::from_ref(&image), 1)).unwrap();
        let told = adapter.clone();
        own.0.set_device_lost_callback(move |_, reason| told.was_lost(reason));
        own.0.destroy();
        let _ = own.0.poll(wgpu::PollType::wait_indefinitely());
        let error = block_on(session.classify(std::slice::from_ref(&image), 1)).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    }
}

/// What another device computes is what this one does.
#[test]
fn it_computes_what_the_adapter_does() {
    let model = Model::bundled().unwrap();
    let image = Image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/photos/coffee.png")).unwrap();
    for (device, queue) in devices(&wgpu::Limits::default()) {
        let own = Adapter::from_wgpu(device, queue).unwrap();
        let opened = block_on(Adapter::open(&Selector::Named(own.info().name.clone()))).unwrap();
        let of = |adapter: &Adapter| {
            let mut session = block_on(Session::load(adapter, &model, Mode::Folded)).unwrap();
            block_on(session.classify(std::slice::from_ref(&image), 3)).unwrap().remove(0)
        };
        let (got, want) = (of(&own), of(&opened));
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.class, want.class);
            assert!((got.probability - want.probability).abs() < 1e-4, "{got:?} {want:?}");
        }
    }
}

#[test]
fn a_device_below_the_baseline_is_refused() {
    let limits = wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..Default::default() };
    for (device, queue) in devices(&limits) {
        let error = Adapter::from_wgpu(device, queue).unwrap_err();
        assert!(matches!(error, Error::Limit { limit: 128, needed: 256, .. }), "{error}");
        assert!(error.to_string().contains("wgpu::Limits::default()"), "{error}");
    }
}
