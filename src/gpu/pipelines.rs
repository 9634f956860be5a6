//! Compiled shaders, shared by all sessions on a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::Device;
use super::shader::Shader;
use super::variant::Variant;
use crate::Result;

/// The pipelines of a device by shader and precision, and by whether they have run-time checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipelines(Arc<Mutex<HashMap<(Variant, bool), wgpu::ComputePipeline>>>);

impl Pipelines {
    fn get(&self, key: &(Variant, bool)) -> Option<wgpu::ComputePipeline> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(key).cloned()
    }

    fn insert(&self, key: (Variant, bool), pipeline: wgpu::ComputePipeline) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(key, pipeline);
    }
}

impl Device {
    /// Compiles shaders that are not compiled yet.
    pub(crate) async fn compile(&self, shaders: impl Iterator<Item = Variant>) -> Result<()> {
        self.pipelines(shaders).await.map(drop)
    }

    /// The pipelines of these shaders. Those that are not there yet are compiled, each once and in parallel where the
    /// platform has threads.
    pub(super) async fn pipelines(
        &self,
        shaders: impl Iterator<Item = Variant>,
    ) -> Result<HashMap<Variant, wgpu::ComputePipeline>> {
        let mut found = HashMap::new();
        let mut missing = vec![];
        for shader in shaders {
            if found.contains_key(&shader) || missing.contains(&shader) {
                continue;
            }
            match self.pipelines.get(&(shader, self.shader_checks)) {
                Some(pipeline) => _ = found.insert(shader, pipeline),
                None => missing.push(shader),
            }
        }
        for (shader, pipeline) in missing.iter().zip(self.compile_all(&missing).await?) {
            self.pipelines.insert((*shader, self.shader_checks), pipeline.clone());
            found.insert(*shader, pipeline);
        }
        Ok(found)
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn compile_all(&self, shaders: &[Variant]) -> Result<Vec<wgpu::ComputePipeline>> {
        use rayon::prelude::*;
        // Error scopes are per thread, so every thread waits for its own verdict; natively that is no wait at all.
        shaders.par_iter().map(|shader| pollster::block_on(self.compile_one(shader))).collect()
    }

    #[cfg(target_arch = "wasm32")]
    async fn compile_all(&self, shaders: &[Variant]) -> Result<Vec<wgpu::ComputePipeline>> {
        let sources: Vec<String> = shaders.iter().map(|shader| self.source(shader)).collect();
        super::browser::compile_ahead(&self.device, &sources).await;
        let mut pipelines = vec![];
        for shader in shaders {
            pipelines.push(self.compile_one(shader).await?);
        }
        Ok(pipelines)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        self.kept()?.pipelines()
    }

    #[cfg(target_arch = "wasm32")]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        None
    }

    fn source(&self, variant: &Variant) -> String {
        let (shader, wgsl) = (variant.shader, variant.wgsl());
        if let (Shader::ConvCooperative { .. }, Some(emulator)) = (shader, self.emulator) {
            return emulator(&wgsl);
        }
        match self.fault {
            Some((family, precision)) if shader.family() == family && *variant == Variant::new(shader, precision) => {
                wgsl.replace("+ bias[slice]", "- bias[slice]")
            }
            _ => wgsl,
        }
    }

    async fn compile_one(&self, shader: &Variant) -> Result<wgpu::ComputePipeline> {
        let label = label(shader);
        let wgsl = self.source(shader);
        let entries = layout_entries(&wgsl);
        self.checked(&format!("compiling {label}"), || {
            // Said, not derived: pipelines with derived layouts are never alike to a browser's cache.
            let group = self
                .device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
            let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                bind_group_layouts: &[Some(&group)],
                ..Default::default()
            });
            let source =
                wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
            let module = if self.shader_checks {
                self.device.create_shader_module(source)
            } else {
                // SAFETY: every index in `shaders/` is computed from sizes that `dispatch` takes from the plan and that
                // the bound buffers were made for, and every loop is bounded by such a size. The operator suite runs
                // all families with checks and without.
                unsafe { self.device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) }
            };
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every shader writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.pipeline_cache(),
            })
        })
        .await
    }
}

/// What errors and debuggers call a pipeline.
#[cfg(not(target_arch = "wasm32"))]
fn label(shader: &Variant) -> String {
    format!("{shader:?}")
}

/// What errors and debuggers call a pipeline: writing out a whole variant would be some kilobytes of every visit.
#[cfg(target_arch = "wasm32")]
fn label(shader: &Variant) -> String {
    shader.shader.family().into()
}

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

fn layout_entries(wgsl: &str) -> Vec<wgpu::BindGroupLayoutEntry> {
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
