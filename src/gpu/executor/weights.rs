//! Kernels, biases, W and D on the device.

use std::collections::HashMap;

use crate::Result;
use crate::gpu::device::{Device, Layout, Region};
use crate::gpu::kernels::conv::KernelLayouts;
use crate::gpu::policy::Policy;
use crate::gpu::shader::{KernelLayout, Resource, Scalar, map_len, pack_d, pack_map, pack_w, stored};
use crate::plan::{ConstantId, KernelId, KernelSource, Plan};

/// All of a plan's, in few buffers.
#[derive(Debug)]
pub(super) struct Weights {
    /// By arena.
    buffers: [Vec<wgpu::Buffer>; Arena::ALL.len()],
    /// Where everything lies.
    regions: HashMap<Resource, (Arena, Region)>,
}

/// No buffer is both read and written by one dispatch, so what is written lies apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arena {
    /// What the shaders only read.
    Parameters,
    /// Kernels that are to be transformed, until they are.
    Taps,
    /// What transforming them writes.
    Transformed,
    /// What composing writes.
    Composed,
    /// What transposing writes.
    Transposed,
}

impl Arena {
    const ALL: [Self; 5] = [Self::Parameters, Self::Taps, Self::Transformed, Self::Composed, Self::Transposed];

    fn label(self) -> &'static str {
        match self {
            Self::Parameters => "weights",
            Self::Taps => "kernels to be transformed",
            Self::Transformed => "transformed kernels",
            Self::Composed => "composed kernels",
            Self::Transposed => "transposed kernels",
        }
    }
}

impl Weights {
    pub(super) async fn upload(device: &Device, plan: &Plan, layouts: &KernelLayouts, policy: &Policy) -> Result<Self> {
        let mut arenas: [Layout; Arena::ALL.len()] = Default::default();
        let mut regions = HashMap::new();
        let mut place = |resource, arena: Arena, what: &str, bytes: u64| -> Result<()> {
            let region = arenas[arena as usize].place(device, what, bytes)?;
            regions.insert(resource, (arena, region));
            Ok(())
        };
        for (index, kernel) in plan.kernels().iter().enumerate() {
            let (id, name) = (KernelId(index), &kernel.name);
            let size = layouts.winograd(id);
            let kernel_bytes = (layouts.scalar(id).bytes() * layouts.layout(plan, id).len()) as u64;
            let bias_bytes = 4 * padded_bias(&kernel.bias).len() as u64;
            place(Resource::Bias(id), Arena::Parameters, &format!("bias of `{name}`"), bias_bytes)?;
            let what = format!("kernel of `{name}`");
            let arena = match &kernel.source {
                KernelSource::Plain(_) if size.is_some() && policy.transforms_kernels() => {
                    let taps_bytes = 4 * KernelLayout::of(&kernel.conv).len() as u64;
                    place(Resource::Taps(id), Arena::Taps, &what, taps_bytes)?;
                    Arena::Transformed
                }
                KernelSource::Plain(_) => Arena::Parameters,
                KernelSource::Transposed(_) => Arena::Transposed,
                KernelSource::Composed(parts) => {
                    let (w, d) = (parts.w.data().len(), parts.d.data().len());
                    let d = size.map_or(d, |size| d / kernel.conv.taps() * size.places());
                    for (resource, length, part) in [(Resource::W(id), w, "W"), (Resource::D(id), d, "D")] {
                        place(resource, Arena::Parameters, &format!("{part} of `{name}`"), 4 * length as u64)?;
                    }
                    Arena::Composed
                }
            };
            place(Resource::Kernel(id), arena, &what, kernel_bytes)?;
        }
        for (index, constant) in plan.constants().iter().enumerate() {
            let (id, what) = (ConstantId(index), format!("constant `{}`", constant.name));
            place(Resource::Constant(id), Arena::Parameters, &what, 4 * map_len(constant.shape) as u64)?;
        }
        let mut weights = Self { buffers: Default::default(), regions };
        for (arena, layout) in Arena::ALL.into_iter().zip(&arenas) {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            weights.buffers[arena as usize] = layout.create(device, arena.label(), usage).await?;
        }
        device
            .checked("uploading weights", || {
                weights.fill(device, plan, layouts, policy);
                // Without this the copies would wait for the first run.
                device.queue.submit([]);
            })
            .await?;
        Ok(weights)
    }

    fn fill(&self, device: &Device, plan: &Plan, layouts: &KernelLayouts, policy: &Policy) {
        let write_as = |scalar: Scalar, resource: Resource, values: &[f32]| {
            let (arena, region) = &self.regions[&resource];
            device.queue.write_buffer(
                &self.buffers[*arena as usize][region.buffer],
                region.offset,
                &stored(scalar, values),
            );
        };
        let write = |resource, values: &[f32]| write_as(Scalar::F32, resource, values);
        for (index, constant) in plan.constants().iter().enumerate() {
            let mut packed = vec![0.0; map_len(constant.shape)];
            pack_map(constant.shape, &constant.values, &mut packed);
            write(Resource::Constant(ConstantId(index)), &packed);
        }
        for (index, kernel) in plan.kernels().iter().enumerate() {
            let (id, conv) = (KernelId(index), &kernel.conv);
            let size = layouts.winograd(id);
            write(Resource::Bias(id), &padded_bias(&kernel.bias));
            match &kernel.source {
                KernelSource::Plain(values) => {
                    let packed = KernelLayout::of(conv).pack(conv, values);
                    match size {
                        Some(_) if policy.transforms_kernels() => write(Resource::Taps(id), &packed),
                        Some(size) => write(Resource::Kernel(id), &size.transform(&packed)),
                        None => write_as(layouts.scalar(id), Resource::Kernel(id), &packed),
                    }
                }
                KernelSource::Composed(parts) => {
                    write(Resource::W(id), &pack_w(conv, parts.attributes.d_mul, parts.w.data()));
                    let d = pack_d(conv, parts.d.data());
                    write(Resource::D(id), &size.map(|size| size.transform(&d)).unwrap_or(d));
                }
                KernelSource::Transposed(_) => {}
            }
        }
    }

    pub(super) fn binding(&self, resource: Resource) -> wgpu::BindingResource<'_> {
        let (arena, region) = &self.regions[&resource];
        region.bind(&self.buffers[*arena as usize])
    }

    /// Lets go of kernels that were transformed.
    pub(super) fn drop_taps(&mut self) {
        self.buffers[Arena::Taps as usize].clear();
    }

    /// The buffers of composed kernels.
    pub(super) fn composed(&self) -> &[wgpu::Buffer] {
        &self.buffers[Arena::Composed as usize]
    }
}

fn padded_bias(bias: &[f32]) -> Vec<f32> {
    let mut padded = bias.to_vec();
    padded.resize(bias.len().next_multiple_of(4), 0.0);
    padded
}
