//! Shaders that do one thing as fast as the device can, for benchmarks.

use std::time::Duration;

use wgpu::util::DeviceExt;

use super::command::{Command, record_repeated};
use crate::Result;
use crate::gpu::device::Device;
use crate::gpu::kernels::{CHAIN_STEPS, COPY, COUNT, CopyParams, FmaParams, fma};
use crate::gpu::policy::Tier;
use crate::gpu::shader::{Dispatch, Scalar, ShaderKey};

/// One such shader with its buffers.
#[derive(Debug)]
pub(crate) struct Peak {
    device: Device,
    shader: ShaderKey,
    commands: Vec<Command>,
    output: wgpu::Buffer,
    readback: wgpu::Buffer,
}

/// What the bindings of a shader hold, by their numbers.
type Bound<'a> = (u32, &'a wgpu::Buffer);

impl Peak {
    /// Lanes of every chain of [`Peak::fma`].
    pub(crate) const LANES: usize = 4;
    /// Steps of every chain and round.
    pub(crate) const STEPS: usize = CHAIN_STEPS as usize;

    /// Chains of so many rounds in so many invocations; the output has a vector for each of these.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::new`].
    pub(crate) async fn fma(device: &Device, scalar: Scalar, invocations: usize, rounds: usize) -> Result<Self> {
        let shader = fma(scalar, chains(device.policy().tier) as u32);
        let params = FmaParams { rounds: rounds as u32, factor: 1.0, term: 1.0 };
        let bytes = (4 * Self::LANES * invocations) as u64;
        let dispatch = Dispatch::new("fma", shader, &params, vec![], [invocations, 1, 1]);
        Self::new(device, dispatch, true, &[], (1, bytes)).await
    }

    /// Chains of an invocation.
    pub(crate) fn chains(device: &Device) -> usize {
        chains(device.policy().tier)
    }

    /// A copy of all of `words` into the output.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::new`].
    pub(crate) async fn copy(device: &Device, words: &[u32]) -> Result<Self> {
        let bytes = size_of_val(words) as u64;
        device.check_binding("what is copied", bytes)?;
        let fill = || init(device, bytemuck::cast_slice(words), wgpu::BufferUsages::STORAGE);
        let input = device.checked("making room for what is copied", fill).await?;
        let params = CopyParams { vectors: (words.len() / 4) as u32 };
        let invocations = [words.len() / 4, 1, 1];
        let dispatch = Dispatch::new("copy", COPY.key([256, 1]), &params, vec![], invocations);
        Self::new(device, dispatch, true, &[(1, &input)], (2, bytes)).await
    }

    /// A dispatch that adds one to the output.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::new`].
    pub(crate) async fn count(device: &Device) -> Result<Self> {
        let dispatch = Dispatch::new("count", COUNT.key([1, 1]), &[0u32; 0], vec![], [1, 1, 1]);
        Self::new(device, dispatch, false, &[], (1, 4)).await
    }

    async fn new(
        device: &Device,
        dispatch: Dispatch,
        has_params: bool,
        inputs: &[Bound<'_>],
        (number, bytes): (u32, u64),
    ) -> Result<Self> {
        let shader = dispatch.shader.clone();
        let pipeline = device.pipelines([shader.clone()].into_iter()).await?[&shader].clone();
        let make = || {
            let (storage, readable) = (wgpu::BufferUsages::STORAGE, wgpu::BufferUsages::MAP_READ);
            let (from, to) = (wgpu::BufferUsages::COPY_SRC, wgpu::BufferUsages::COPY_DST);
            let output = buffer(device, bytes, storage | from | to);
            let bind = |part| {
                let uniform = has_params.then(|| init(device, &dispatch.params_of(&part), wgpu::BufferUsages::UNIFORM));
                let bound = uniform.iter().map(|uniform| (0, uniform)).chain(inputs.iter().copied());
                let entries: Vec<_> = bound
                    .chain([(number, &output)])
                    .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                    .collect();
                let bind_group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(shader.kernel.name),
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                });
                Command::new(pipeline.clone(), bind_group, &part)
            };
            let commands = dispatch.parts().into_iter().map(bind).collect();
            (commands, buffer(device, bytes, readable | to), output.clone())
        };
        let (commands, readback, output) = device.checked("making room for results", make).await?;
        Ok(Self { device: device.clone(), shader, commands, output, readback })
    }

    /// The shader's family.
    pub(crate) fn kernel(&self) -> &'static str {
        self.shader.kernel.name
    }

    /// The time of so many dispatches, one after the other. The output is zero when they begin.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::run`].
    pub(crate) async fn time(&self, repeats: usize) -> Result<Duration> {
        let clear = |encoder: &mut wgpu::CommandEncoder| encoder.clear_buffer(&self.output, 0, None);
        self.device.submit_and_wait("clearing results", clear).await?;
        let encode = |encoder: &mut wgpu::CommandEncoder, runs| {
            record_repeated(encoder, &self.commands, runs);
        };
        self.device.time("measuring the device", 1, repeats.max(1), encode).await
    }

    /// Takes what is needed out of the output.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::run`].
    pub(crate) async fn read<T>(&self, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            encoder.copy_buffer_to_buffer(&self.output, 0, &self.readback, 0, self.output.size());
        };
        self.device.submit_and_read("reading the results", &self.readback, encode, take).await
    }
}

/// Chains that keep the units busy while a step is on its way: software adapters make every lane a vector of their own, of
/// which the CPU's registers hold a dozen.
fn chains(tier: Tier) -> usize {
    match tier {
        Tier::Software => 3,
        Tier::Hardware => 8,
    }
}

fn buffer(device: &Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let label = Some("results");
    device.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
}

fn init(device: &Device, contents: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage })
}
