//! Replays programs of a plan on a device.

use super::command::{Command, record};
use super::limits::check_fits;
use super::prepared::{Maps, Prepared};
use super::preprocess::Preprocessor;
use super::weights::Weights;
use crate::gpu::device::{Device, Layout, Region};
use crate::gpu::kernels::conv::KernelLayouts;
use crate::gpu::policy::Policy;
use crate::gpu::program::{KernelSetup, Program};
use crate::gpu::shader::{Dispatch, Resource, Scalar, has_zero_lanes, loaded, map_len, pack_map, stored, unpack_map};
use crate::load_times::{LoadTimes, timed};
use crate::plan::{Plan, ValueId};
use crate::{Error, Precision, Result};

/// A plan on a device: weights uploaded, kernels folded. It runs the batch sizes that were prepared, with the kernels that
/// their programs say.
#[derive(Debug)]
pub struct Executor {
    pub(super) device: Device,
    pub(super) plan: Plan,
    policy: Policy,
    layouts: KernelLayouts,
    pub(super) weights: Weights,
    /// Most recently used last.
    pub(super) programs: Vec<Prepared>,
    /// Made when the first image comes.
    pub(super) preprocessor: Option<Preprocessor>,
    /// Whether the unused lanes of what was read last were zero, as every kernel has to leave them.
    unused_lanes_are_zero: bool,
    pub(crate) times: LoadTimes,
}

/// What errors call composing the kernels once.
pub(super) const FOLDING: &str = "folding kernels";

/// How many batch sizes are kept ready: the usual one and the remainder.
const PROGRAMS_KEPT: usize = 2;

impl Executor {
    /// Uploads the weights and folds the composed kernels.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`], or [`Error::Gpu`] for anything else the driver
    /// refuses.
    pub async fn new(
        device: &Device,
        plan: &Plan,
        policy: Policy,
        layouts: KernelLayouts,
        setup: &KernelSetup,
    ) -> Result<Self> {
        let (weights, upload) = timed(Weights::upload(device, plan, &layouts, &policy)).await?;
        let mut executor = Self {
            device: device.clone(),
            plan: plan.without_weights(|_| false),
            policy,
            layouts,
            weights,
            programs: vec![],
            preprocessor: None,
            unused_lanes_are_zero: true,
            times: LoadTimes { upload, ..LoadTimes::default() },
        };
        for (doing, dispatches) in [("transforming kernels", &setup.transform), (FOLDING, &setup.fold)] {
            if dispatches.is_empty() {
                continue;
            }
            // No maps are touched.
            let (commands, compile) = timed(executor.commands(dispatches, &Maps::default())).await?;
            executor.times.compile += compile;
            let encode = |encoder: &mut wgpu::CommandEncoder| record(encoder, &commands);
            let ((), took) = timed(executor.device.submit_and_wait(doing, encode)).await?;
            match doing {
                FOLDING => executor.times.fold += took,
                _ => executor.times.upload += took,
            }
        }
        executor.weights.drop_taps();
        Ok(executor)
    }

    /// A plan with a policy, ready for one batch size, without anything having been verified: for tests and timing.
    ///
    /// # Errors
    /// Those of [`Executor::new`].
    pub async fn with_policy(device: &Device, plan: &Plan, batch: usize, policy: Policy) -> Result<Self> {
        let layouts = KernelLayouts::new(plan, &policy);
        Self::of_program(device, plan, batch, policy, layouts).await
    }

    /// The same with kernels that lie in memory as is said.
    pub(in crate::gpu) async fn of_program(
        device: &Device,
        plan: &Plan,
        batch: usize,
        policy: Policy,
        layouts: KernelLayouts,
    ) -> Result<Self> {
        let program = Program::new(plan, batch, &policy, &layouts)?;
        check_fits(device, plan, &program, policy.precision)?;
        let setup = KernelSetup::new(plan, &policy, &layouts)?;
        let mut executor = Self::new(device, plan, policy, layouts, &setup).await?;
        executor.prepare(&program).await?;
        Ok(executor)
    }

    /// How it stores numbers and computes.
    pub fn precision(&self) -> Precision {
        self.policy.precision
    }

    /// The plan that it runs, without weights.
    pub(in crate::gpu) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How its kernels lie in memory.
    pub(in crate::gpu) fn layouts(&self) -> &KernelLayouts {
        &self.layouts
    }

    /// Whether a batch size is prepared, which counts as a use of it.
    pub(in crate::gpu) fn is_prepared(&mut self, batch: usize) -> bool {
        let Some(at) = self.programs.iter().position(|program| program.batch == batch) else { return false };
        let program = self.programs.remove(at);
        self.programs.push(program);
        true
    }

    /// The shader families of a batch size that is prepared.
    pub(in crate::gpu) fn kernels(&self, batch: usize) -> Option<&[&'static str]> {
        let program = self.programs.iter().find(|program| program.batch == batch)?;
        Some(&program.kernels)
    }

    /// Makes a program ready to run: shaders compiled, buffers made.
    ///
    /// # Errors
    /// Those of [`Executor::new`].
    pub async fn prepare(&mut self, program: &Program) -> Result<()> {
        let (prepared, compile) = timed(self.prepared(program)).await?;
        self.times.compile += compile;
        // What stays from run to run lies in the one program of its plan.
        if self.programs.len() >= PROGRAMS_KEPT {
            self.programs.remove(0);
        }
        self.programs.push(prepared);
        Ok(())
    }

    /// Where a batch size is prepared.
    pub(super) fn at(&self, batch: usize) -> Result<usize> {
        let at = self.programs.iter().position(|program| program.batch == batch);
        at.ok_or_else(|| Error::Gpu {
            doing: "running the network".into(),
            reason: format!("nothing is prepared for a batch of {batch}"),
        })
    }

    /// Runs the network on a batch that is prepared.
    ///
    /// `inputs` and results are NCHW, one for each of the plan's inputs and outputs, `batch` images each.
    ///
    /// # Errors
    /// [`Error::Input`] if number or length of the inputs is wrong; those of [`Executor::new`].
    pub async fn run(&mut self, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.plan.check_inputs(batch, inputs)?;
        self.device.check_alive()?;
        let at = self.at(batch)?;
        self.pack(at, inputs);
        let readback = self.programs[at].readback.take();
        let program = &self.programs[at];
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            for (&value, packed) in self.plan.inputs().iter().zip(&program.packed) {
                self.device.queue.write_buffer(program.maps.get(value), 0, &stored(self.storage(), packed));
            }
            record(encoder, &program.commands);
        };
        let read = self.read_outputs("running the network", program, readback, encode).await?;
        Ok(self.keep(at, read))
    }

    /// Puts inputs into the device's layout.
    pub(super) fn pack(&mut self, at: usize, inputs: &[&[f32]]) {
        let program = &mut self.programs[at];
        for ((&value, input), packed) in self.plan.inputs().iter().zip(inputs).zip(&mut program.packed) {
            pack_map(self.plan.value(value).batched(program.batch), input, packed);
        }
    }

    /// Submits what is encoded, and reads the outputs that are there then.
    pub(super) async fn read_outputs(
        &self,
        doing: &str,
        program: &Prepared,
        readback: Option<wgpu::Buffer>,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Outputs> {
        let batch = program.batch;
        let bytes = self.plan.outputs().iter().map(|&value| self.map_bytes(value, batch)).sum();
        let readback = match readback {
            Some(readback) => readback,
            None => self.device.checked("making room for results", || self.readback_buffer(bytes)).await?,
        };
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            encode(encoder);
            let mut offset = 0;
            for &value in self.plan.outputs() {
                let size = self.map_bytes(value, batch);
                encoder.copy_buffer_to_buffer(program.maps.get(value), 0, &readback, offset, size);
                offset += size;
            }
        };
        let take = |bytes: &[u8]| {
            let all = loaded(self.storage(), bytes);
            let (mut rest, mut values, mut lanes_are_zero) = (&all[..], vec![], true);
            for &value in self.plan.outputs() {
                let shape = self.plan.value(value).batched(batch);
                let (head, tail) = rest.split_at(map_len(shape));
                lanes_are_zero &= has_zero_lanes(shape, head);
                values.push(unpack_map(shape, head));
                rest = tail;
            }
            (values, lanes_are_zero)
        };
        let (values, lanes_are_zero) = self.device.submit_and_read(doing, &readback, encode, take).await?;
        Ok(Outputs { values, lanes_are_zero, readback })
    }

    /// Keeps what a run has read with for the next one, and gives the values.
    pub(super) fn keep(&mut self, at: usize, read: Outputs) -> Vec<Vec<f32>> {
        self.programs[at].readback = Some(read.readback);
        self.unused_lanes_are_zero = read.lanes_are_zero;
        debug_assert!(read.lanes_are_zero, "a kernel left something in unused lanes: {:?}", self.programs[at].kernels);
        read.values
    }

    /// Whether the kernels of the last run kept to the contract on unused lanes.
    pub(crate) fn has_kept_to_lanes(&self) -> bool {
        self.unused_lanes_are_zero
    }

    pub(super) fn map_bytes(&self, value: ValueId, batch: usize) -> u64 {
        (self.storage().bytes() * map_len(self.plan.value(value).batched(batch))) as u64
    }

    /// What maps consist of.
    pub(super) fn storage(&self) -> Scalar {
        Scalar::stored_in(self.policy.precision)
    }

    async fn prepared(&self, program: &Program) -> Result<Prepared> {
        let memory = program.memory(&self.plan);
        let scratch_bytes = Dispatch::scratch_bytes(&program.dispatches);
        let (buffers, scratch) = self
            .device
            .checked("making room for feature maps", || {
                let bytes = |&len: &usize| (self.storage().bytes() * len) as u64;
                let maps: Vec<_> = memory.sizes.iter().map(|len| self.map_buffer(bytes(len))).collect();
                (maps, scratch_bytes.map(|bytes| (bytes > 0).then(|| self.map_buffer(bytes))))
            })
            .await?;
        let region = |&value: &ValueId| {
            let (buffer, offset) = (memory.buffer_of(value), (self.storage().bytes() * memory.offset_of(value)) as u64);
            (value, Region { buffer, offset, size: self.map_bytes(value, program.batch) })
        };
        let regions = self.plan.arenas().iter().flatten().map(region).collect();
        let maps = Maps { buffers, buffer_of: memory.buffer, regions, scratch };
        let commands = self.commands(&program.dispatches, &maps).await?;
        let room = |&id: &ValueId| vec![0.0; map_len(self.plan.value(id).batched(program.batch))];
        let prepared = Prepared {
            batch: program.batch,
            commands,
            maps,
            kernels: program.kernels(),
            readback: None,
            #[cfg(training)]
            in_flight: None,
            packed: self.plan.inputs().iter().map(room).collect(),
            ranker: None,
        };
        #[cfg(training)]
        self.initialise(&prepared).await?;
        Ok(prepared)
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

    /// Binds dispatches to buffers, part by part of their grids.
    pub(super) async fn commands(&self, dispatches: &[Dispatch], maps: &Maps) -> Result<Vec<Command>> {
        let device = &self.device.device;
        let pipelines = self.device.pipelines(dispatches.iter().map(|dispatch| dispatch.shader.clone())).await?;
        let parts: Vec<_> = dispatches
            .iter()
            .flat_map(|dispatch| dispatch.parts().into_iter().map(move |part| (dispatch, part)))
            .collect();
        let mut uniforms = Layout::default();
        let params: Vec<Vec<u8>> = parts.iter().map(|(dispatch, part)| dispatch.params_of(part)).collect();
        let regions = params
            .iter()
            .map(|params| uniforms.place(&self.device, "parameters", params.len() as u64))
            .collect::<Result<Vec<_>>>()?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffers = uniforms.create(&self.device, "parameters", usage).await?;
        let bind = |((dispatch, part), (params, region)): (&(&Dispatch, _), (&Vec<u8>, &Region))| {
            self.device.queue.write_buffer(&buffers[region.buffer], region.offset, params);
            let pipeline = pipelines[&dispatch.shader].clone();
            let parameters = wgpu::BindGroupEntry { binding: 0, resource: region.bind(&buffers) };
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
            Command::new(pipeline, bind_group, part)
        };
        self.device
            .checked("binding buffers", || parts.iter().zip(params.iter().zip(&regions)).map(bind).collect())
            .await
    }
}

/// What was read after a run.
pub(super) struct Outputs {
    values: Vec<Vec<f32>>,
    lanes_are_zero: bool,
    readback: wgpu::Buffer,
}
