//! Replays a plan on a device.

mod repeat;
#[cfg(training)]
mod states;
mod weights;

use std::collections::HashMap;

use wgpu::util::DeviceExt;

use super::Device;
use super::arena::{Layout, Region};
use super::choose::{Policy, transformed};
use super::dispatch::{self, Dispatch, Resource};
use super::layout::{loaded, map_len, pack_map, stored, unpack_map};
use super::photographs::Preprocessor;
use super::ranking::Ranker;
use super::shader::Scalar;
use crate::load_times::{LoadTimes, timed};
use crate::plan::{Plan, ValueId};
use crate::{Precision, Result};
use weights::{Arena, Weights};

/// A plan on a device: weights uploaded, kernels folded, pipelines compiled.
///
/// Everything that depends on the batch size is made when a size is first run and kept for the next run of that size.
#[derive(Debug)]
pub struct Executor {
    pub(super) device: Device,
    pub(super) plan: Plan,
    /// What chose the kernels when the weights were packed for them.
    policy: Policy,
    /// How many images at a time keep maps, results and grids within the device's limits.
    pub(super) largest_batch: usize,
    weights: Weights,
    /// Most recently used last.
    pub(super) programs: Vec<Program>,
    /// Made when the first photograph comes.
    pub(super) preprocessor: Option<Preprocessor>,
    pub(crate) times: LoadTimes,
}

/// What errors call composing the kernels once.
const FOLDING: &str = "folding kernels";

/// How many batch sizes are kept ready: the usual one and the remainder.
const PROGRAMS_KEPT: usize = 2;

/// Everything for one batch size.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) batch: usize,
    pub(super) maps: Maps,
    pub(super) commands: Vec<Command>,
    readback: wgpu::Buffer,
    /// A training step that may be under way.
    #[cfg(training)]
    in_flight: Option<super::submission::Submitted>,
    /// The inputs in the device's layout, before they are uploaded.
    packed: Vec<Vec<f32>>,
    /// For the ranking that was wanted last.
    pub(super) ranker: Option<Ranker>,
}

/// Feature maps on the device.
#[derive(Debug, Default)]
pub(super) struct Maps {
    buffers: Vec<wgpu::Buffer>,
    /// For every value, the index of its buffer.
    buffer_of: Vec<usize>,
    /// For every value that does not begin its buffer or has others behind it, where it lies.
    regions: HashMap<ValueId, Region>,
    /// What dispatches leave for those right behind them.
    scratch: [Option<wgpu::Buffer>; 2],
}

impl Maps {
    pub(super) fn get(&self, value: ValueId) -> &wgpu::Buffer {
        &self.buffers[self.buffer_of[value.0]]
    }

    /// A value's buffer, and where it begins there.
    #[cfg(training)]
    fn place(&self, value: ValueId) -> (&wgpu::Buffer, u64) {
        (self.get(value), self.regions.get(&value).map_or(0, |region| region.offset))
    }

    fn binding(&self, value: ValueId) -> wgpu::BindingResource<'_> {
        match self.regions.get(&value) {
            Some(region) => bind(&self.buffers, region),
            None => self.get(value).as_entire_binding(),
        }
    }

    /// Whether a value's buffer holds other values at other times.
    fn is_shared(&self, value: ValueId) -> bool {
        let buffer = self.buffer_of[value.0];
        self.buffer_of.iter().filter(|&&other| other == buffer).count() > 1
    }
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
}

impl Executor {
    /// Uploads the weights and folds the composed kernels, with shaders chosen by the device's tier.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost), or [`Error::Gpu`](crate::Error::Gpu) for anything else the
    /// driver refuses.
    pub async fn new(device: &Device, plan: &Plan) -> Result<Self> {
        Self::with(device, plan, device.policy()).await
    }

    /// The same with kernels chosen otherwise.
    pub(crate) async fn with(device: &Device, plan: &Plan, policy: Policy) -> Result<Self> {
        let largest_batch = largest_batch(device, plan, &policy)?;
        let (weights, upload) = timed(Weights::upload(device, plan, &transformed(plan, &policy), &policy)).await?;
        let times = LoadTimes { upload, ..LoadTimes::default() };
        let mut executor = Self {
            device: device.clone(),
            plan: plan.without_weights(|_| false),
            policy: policy.clone(),
            largest_batch,
            weights,
            programs: vec![],
            preprocessor: None,
            times,
        };
        // What is done to kernels once, when they are loaded.
        let (transform, fold) = (dispatch::transform(plan, &policy)?, dispatch::fold(plan, &policy)?);
        for (doing, dispatches) in [("transforming kernels", transform), (FOLDING, fold)] {
            if dispatches.is_empty() {
                continue;
            }
            // No maps are touched.
            let (commands, compile) = timed(executor.commands(&dispatches, &Maps::default())).await?;
            executor.times.compile += compile;
            let encode = |encoder: &mut wgpu::CommandEncoder| record(encoder, &commands);
            let ((), took) = timed(executor.device.submit_and_wait(doing, encode)).await?;
            match doing {
                FOLDING => executor.times.fold += took,
                _ => executor.times.upload += took,
            }
        }
        executor.weights.buffers[Arena::Taps as usize].clear();
        Ok(executor)
    }

    /// How it stores numbers and computes: single precision, where what was wanted was found to be wrong.
    pub fn precision(&self) -> Precision {
        self.policy.precision
    }

    /// Runs the network.
    ///
    /// `inputs` and results are NCHW, one for each of the plan's inputs and outputs, `batch` images each. A batch whose
    /// feature maps would be beyond the device's limits is run in parts.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if number or length of the inputs is wrong; those of [`Executor::new`].
    pub async fn run(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.plan.check_inputs(batch, inputs)?;
        let part = self.largest_batch.min(batch);
        if part == batch {
            return self.run_whole(batch, inputs).await;
        }
        let mut outputs = vec![vec![]; self.plan.outputs.len()];
        for first in (0..batch).step_by(part) {
            let images = first..batch.min(first + part);
            let slices: Vec<&[f32]> = inputs
                .iter()
                .map(|input| &input[input.len() / batch * images.start..input.len() / batch * images.end])
                .collect();
            for (whole, part) in outputs.iter_mut().zip(self.run_whole(images.len(), &slices).await?) {
                whole.extend(part);
            }
        }
        Ok(outputs)
    }

    async fn run_whole(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.device.check_alive()?;
        // A run that fails or is given up takes its program along, whose readback buffer may be left mapped.
        let mut program = self.take_program(batch).await?;
        self.pack(&mut program, inputs);
        let outputs = self.replay(&program).await?;
        self.programs.push(program);
        Ok(outputs)
    }

    fn pack(&self, program: &mut Program, inputs: &[&[f32]]) {
        for ((&value, input), packed) in self.plan.inputs.iter().zip(inputs).zip(&mut program.packed) {
            pack_map(self.plan.value(value).batched(program.batch), input, packed);
        }
    }

    async fn replay(&self, program: &Program) -> Result<Vec<Vec<f32>>> {
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            for (&value, packed) in self.plan.inputs.iter().zip(&program.packed) {
                self.device.queue.write_buffer(program.maps.get(value), 0, &stored(self.storage(), packed));
            }
            record(encoder, &program.commands);
        };
        self.read_outputs("running the network", program, encode).await
    }

    /// Submits what is encoded, and reads the outputs that are there then.
    async fn read_outputs(
        &self,
        doing: &str,
        program: &Program,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Vec<Vec<f32>>> {
        let batch = program.batch;
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            encode(encoder);
            let mut offset = 0;
            for &value in &self.plan.outputs {
                let size = self.map_bytes(value, batch);
                encoder.copy_buffer_to_buffer(program.maps.get(value), 0, &program.readback, offset, size);
                offset += size;
            }
        };
        let take = |bytes: &[u8]| {
            let values = loaded(self.storage(), bytes);
            let mut rest = &values[..];
            let mut outputs = vec![];
            for &value in &self.plan.outputs {
                let shape = self.plan.value(value).batched(batch);
                let (head, tail) = rest.split_at(map_len(shape));
                outputs.push(unpack_map(shape, head));
                rest = tail;
            }
            outputs
        };
        self.device.submit_and_read(doing, &program.readback, encode, take).await
    }

    pub(super) fn uniform_buffer(&self, contents: &[u8]) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::UNIFORM;
        let label = Some("parameters");
        self.device.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
    }

    fn map_bytes(&self, value: ValueId, batch: usize) -> u64 {
        (self.storage().bytes() * map_len(self.plan.value(value).batched(batch))) as u64
    }

    /// What maps consist of.
    fn storage(&self) -> Scalar {
        self.policy.precision.storage()
    }

    /// Makes everything ready for a batch of this size: shaders compiled, buffers there.
    pub(crate) async fn prepare(&mut self, batch: usize) -> Result<()> {
        let batch = batch.clamp(1, self.largest_batch);
        let (program, compile) = timed(self.take_program(batch)).await?;
        self.programs.push(program);
        self.times.compile += compile;
        Ok(())
    }

    /// The program of a batch size, taken from the list or made.
    pub(super) async fn take_program(&mut self, batch: usize) -> Result<Program> {
        if let Some(at) = self.programs.iter().position(|program| program.batch == batch) {
            return Ok(self.programs.remove(at));
        }
        if self.programs.len() == PROGRAMS_KEPT {
            self.programs.remove(0);
        }
        let unwritten = dispatch::unwritten(&self.plan, batch, &self.policy);
        let memory = self.plan.memory_without(&unwritten, batch, map_len);
        let dispatches = dispatch::run(&self.plan, batch, &self.policy)?;
        let scratch_bytes = scratch_bytes(&dispatches);
        let (buffers, scratch, readback) = self
            .device
            .checked("making room for feature maps", || {
                let bytes = |&len: &usize| (self.storage().bytes() * len) as u64;
                let maps: Vec<_> = memory.sizes.iter().map(|len| self.map_buffer(bytes(len))).collect();
                let scratch = scratch_bytes.map(|bytes| (bytes > 0).then(|| self.map_buffer(bytes)));
                let bytes = self.plan.outputs.iter().map(|&value| self.map_bytes(value, batch)).sum();
                (maps, scratch, self.readback_buffer(bytes))
            })
            .await?;
        let region = |&value: &ValueId| {
            let (buffer, offset) = (memory.buffer_of(value), (self.storage().bytes() * memory.offset_of(value)) as u64);
            (value, Region { buffer, offset, size: self.map_bytes(value, batch) })
        };
        let regions = self.plan.arenas.iter().flatten().map(region).collect();
        let maps = Maps { buffers, buffer_of: memory.buffer, regions, scratch };
        let commands = self.commands(&dispatches, &maps).await?;
        let packed =
            self.plan.inputs.iter().map(|&id| vec![0.0; map_len(self.plan.value(id).batched(batch))]).collect();
        let program = Program {
            batch,
            commands,
            maps,
            readback,
            #[cfg(training)]
            in_flight: None,
            packed,
            ranker: None,
        };
        #[cfg(training)]
        self.initialise(&program).await?;
        Ok(program)
    }

    pub(super) fn map_buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("feature map"),
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    pub(super) fn readback_buffer(&self, size: u64) -> wgpu::Buffer {
        self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("results"),
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        })
    }

    /// Binds dispatches to buffers.
    async fn commands(&self, dispatches: &[Dispatch], maps: &Maps) -> Result<Vec<Command>> {
        let device = &self.device.device;
        let pipelines = self.device.pipelines(dispatches.iter().map(Dispatch::variant)).await?;
        let mut uniforms = Layout::default();
        let regions = dispatches
            .iter()
            .map(|dispatch| uniforms.place(&self.device, "parameters", dispatch.params.len() as u64))
            .collect::<Result<Vec<_>>>()?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffers = uniforms.create(&self.device, "parameters", usage).await?;
        self.device
            .checked("binding buffers", || {
                dispatches
                    .iter()
                    .zip(&regions)
                    .map(|(dispatch, region)| {
                        self.device.queue.write_buffer(&buffers[region.buffer], region.offset, &dispatch.params);
                        let pipeline = pipelines[&dispatch.variant()].clone();
                        let parameters = wgpu::BindGroupEntry { binding: 0, resource: bind(&buffers, region) };
                        let others = dispatch.bindings.iter().map(|&(binding, resource)| wgpu::BindGroupEntry {
                            binding,
                            resource: match resource {
                                Resource::Map(value) => maps.binding(value),
                                Resource::Arena(arena) => maps.get(self.plan.arena(arena)[0]).as_entire_binding(),
                                Resource::Scratch(place, _) => maps.scratch[place as usize]
                                    .as_ref()
                                    .expect("made for the largest that a dispatch wants")
                                    .as_entire_binding(),
                                other => self.weights.binding(other),
                            },
                        });
                        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                            label: Some(&dispatch.label),
                            layout: &pipeline.get_bind_group_layout(0),
                            entries: &std::iter::once(parameters).chain(others).collect::<Vec<_>>(),
                        });
                        Command { pipeline, bind_group, grid: dispatch.grid }
                    })
                    .collect()
            })
            .await
    }
}

/// How many images at a time keep every map, the results together, and every grid within the device's limits.
fn largest_batch(device: &Device, plan: &Plan, policy: &Policy) -> Result<usize> {
    #[cfg(training)]
    states::check_arenas(device, plan)?;
    let storage = policy.precision.storage();
    let bytes = |value: ValueId| (storage.bytes() * map_len(plan.value(value).shape)) as u64;
    let mut largest = u64::MAX;
    let unwritten = dispatch::unwritten(plan, 1, policy);
    for (index, description) in plan.values.iter().enumerate() {
        if unwritten.contains(&ValueId(index)) {
            continue;
        }
        let bytes = bytes(ValueId(index));
        device.check_binding(&format!("feature map `{}`", description.name), bytes)?;
        largest = largest.min(device.largest_binding() / bytes);
    }
    let results: u64 = plan.outputs.iter().map(|&value| bytes(value)).sum();
    largest = largest.min(device.largest_binding() / results.max(1)).max(1);
    let dispatches = dispatch::run(plan, 1, policy)?;
    for bytes in scratch_bytes(&dispatches).into_iter().filter(|&bytes| bytes > 0) {
        device.check_binding("what a layer leaves for its next dispatch", bytes)?;
        largest = largest.min(device.largest_binding() / bytes);
    }
    let groups = dispatches.into_iter().flat_map(|dispatch| dispatch.grid).max();
    Ok(largest.min(dispatch::MAX_GROUPS / u64::from(groups.unwrap_or(1))) as usize)
}

/// The most bytes that any dispatch leaves for the next, in every place.
fn scratch_bytes(dispatches: &[Dispatch]) -> [u64; 2] {
    let mut most = [0; 2];
    for (_, resource) in dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
        if let Resource::Scratch(place, bytes) = *resource {
            let largest = &mut most[place as usize];
            *largest = bytes.max(*largest);
        }
    }
    most
}

pub(super) fn record(encoder: &mut wgpu::CommandEncoder, commands: &[Command]) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for command in commands {
        pass.set_pipeline(&command.pipeline);
        pass.set_bind_group(0, &command.bind_group, &[]);
        let [x, y, z] = command.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

fn bind<'a>(buffers: &'a [wgpu::Buffer], region: &Region) -> wgpu::BindingResource<'a> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: &buffers[region.buffer],
        offset: region.offset,
        size: wgpu::BufferSize::new(region.size),
    })
}
