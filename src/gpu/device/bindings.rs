//! Bind group layouts, read off a shader's own declarations.

/// What a shader binds at one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    Uniform,
    Read,
    Write,
    Texture,
}

/// The bindings of a shader of this crate, which declares each on a line of its own.
pub(super) fn bindings(wgsl: &str) -> Vec<(u32, Binding)> {
    let declaration = |line: &str| {
        let (number, variable) = line.strip_prefix("@group(0) @binding(")?.split_once(") var")?;
        let kind = match variable {
            _ if variable.starts_with("<uniform>") => Binding::Uniform,
            _ if variable.starts_with("<storage, read>") => Binding::Read,
            _ if variable.starts_with("<storage, read_write>") => Binding::Write,
            _ => Binding::Texture,
        };
        Some((number.parse().ok()?, kind))
    };
    wgsl.lines().filter_map(declaration).collect()
}

pub(super) fn layout_entries(wgsl: &str) -> Vec<wgpu::BindGroupLayoutEntry> {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let entry = |&(binding, kind): &(u32, Binding)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: match kind {
            Binding::Uniform => buffer(wgpu::BufferBindingType::Uniform),
            Binding::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
            Binding::Write => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
            Binding::Texture => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Float { filterable: true },
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
        },
        count: None,
    };
    bindings(wgsl).iter().map(entry).collect()
}
