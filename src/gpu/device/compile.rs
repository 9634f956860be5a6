//! Compiling shaders on a device.

use std::collections::HashMap;

use super::bindings::layout_entries;
#[cfg(target_arch = "wasm32")]
use super::browser::compile_ahead;
use super::device::Device;
use crate::Result;
use crate::gpu::shader::{Precisions, ShaderKey};

impl Device {
    /// Compiles shaders that are not compiled yet.
    pub(crate) async fn compile(&self, shaders: impl Iterator<Item = ShaderKey>) -> Result<()> {
        self.pipelines(shaders).await.map(drop)
    }

    /// The pipelines of these shaders. Those that are not there yet are compiled, each once and in parallel where the
    /// platform has threads.
    pub(in crate::gpu) async fn pipelines(
        &self,
        shaders: impl Iterator<Item = ShaderKey>,
    ) -> Result<HashMap<ShaderKey, wgpu::ComputePipeline>> {
        let mut found = HashMap::new();
        let mut missing = vec![];
        for shader in shaders {
            if found.contains_key(&shader) || missing.contains(&shader) {
                continue;
            }
            match self.pipelines.get(&(shader.clone(), self.shader_checks)) {
                Some(pipeline) => _ = found.insert(shader, pipeline),
                None => missing.push(shader),
            }
        }
        for (shader, pipeline) in missing.iter().zip(self.compile_all(&missing).await?) {
            self.pipelines.insert((shader.clone(), self.shader_checks), pipeline.clone());
            found.insert(shader.clone(), pipeline);
        }
        Ok(found)
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn compile_all(&self, shaders: &[ShaderKey]) -> Result<Vec<wgpu::ComputePipeline>> {
        use rayon::prelude::*;
        // Error scopes are per thread, so every thread waits for its own verdict; natively that is no wait at all.
        shaders.par_iter().map(|shader| pollster::block_on(self.compile_one(shader))).collect()
    }

    #[cfg(target_arch = "wasm32")]
    async fn compile_all(&self, shaders: &[ShaderKey]) -> Result<Vec<wgpu::ComputePipeline>> {
        let sources: Vec<String> = shaders.iter().map(|shader| self.source(shader)).collect();
        compile_ahead(&self.device, &sources).await;
        let mut pipelines = vec![];
        for shader in shaders {
            pipelines.push(self.compile_one(shader).await?);
        }
        Ok(pipelines)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        self.disk_cache()?.pipelines()
    }

    #[cfg(target_arch = "wasm32")]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        None
    }

    /// The WGSL of a shader, with what tests of faulty drivers make of it.
    fn source(&self, shader: &ShaderKey) -> String {
        let wgsl = shader.wgsl();
        if let (Precisions::HalfStored, Some(emulator)) = (shader.kernel.precisions, self.emulator) {
            return emulator(&wgsl);
        }
        match self.fault {
            Some((family, precision))
                if shader.kernel.name == family && *shader == shader.clone().in_precision(precision) =>
            {
                wgsl.replace("+ bias[slice]", "- bias[slice]")
            }
            _ => wgsl,
        }
    }

    async fn compile_one(&self, shader: &ShaderKey) -> Result<wgpu::ComputePipeline> {
        let label = shader.to_string();
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
                // SAFETY: every index in `shaders/` is computed from sizes that `kernels` takes from the plan and that
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
