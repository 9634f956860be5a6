//! An open device: what is known of it, and what goes wrong on it.

use std::sync::{Arc, Mutex};

use super::adapters::{Found, check_limits, described, matrix_units, subgroup, wanted_features, wanted_limits};
#[cfg(not(target_arch = "wasm32"))]
use super::disk_cache::DiskCache;
use super::pipelines::Pipelines;
use super::tuning::{TuneListener, Tuning};
use super::verified::Verified;
use crate::adapter_info::{AdapterInfo, AdapterKind};
use crate::gpu::kernels::conv::winograd_tiles;
use crate::gpu::policy::{KernelConfig, Policy, Tier, TuningTable, shipped};
use crate::gpu::shader::ShaderKey;
use crate::network::{Conv2d, PaddingMode};
use crate::winograd::Winograd;
use crate::{Error, Precision, Result};

/// An open GPU device.
#[derive(Clone, Debug)]
pub struct Device {
    pub(in crate::gpu) device: wgpu::Device,
    pub(in crate::gpu) queue: wgpu::Queue,
    policy: Policy,
    verified: Verified,
    tuning: Tuning,
    /// Whether the shader compiler adds bounds checks and loop counters.
    pub(in crate::gpu) shader_checks: bool,
    pub(super) pipelines: Pipelines,
    /// A shader family that is made to compute wrong results, and in which precision.
    pub(in crate::gpu) fault: Option<(&'static str, Precision)>,
    /// Writes the shader for matrix units without them.
    pub(in crate::gpu) emulator: Option<fn(&str) -> String>,
    lost: Arc<Mutex<Option<String>>>,
    /// Whether a program has made it for itself, so that textures of that program are its own.
    #[cfg(not(target_arch = "wasm32"))]
    is_from_program: bool,
    #[cfg(not(target_arch = "wasm32"))]
    disk_cache: Option<Arc<DiskCache>>,
}

impl Device {
    /// # Errors
    /// [`Error::Gpu`] if the driver gives no device.
    pub(crate) async fn open(found: &Found) -> Result<Self> {
        let adapter = &found.adapter;
        let matrix_units = matrix_units(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("doconv"),
            required_features: adapter.features() & wanted_features() | matrix_units,
            required_limits: wanted_limits(&adapter.limits()),
            experimental_features: match matrix_units.is_empty() {
                true => wgpu::ExperimentalFeatures::disabled(),
                // SAFETY: what may go wrong is in the new operations and their translation. One shader has them, whose loads
                // and stores are within its buffers for the grids and sizes that `dispatch` gives it, in control flow that
                // is uniform, with workgroups of one whole subgroup; nothing else changes, and it runs only in half
                // precision and after its results were compared with the CPU path's.
                false => unsafe { wgpu::ExperimentalFeatures::enabled() },
            },
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Gpu { doing: format!("opening {}", found.info.name), reason: one_line(&error) })?;
        let subgroup = subgroup(&adapter.get_info(), adapter.features());
        let mut device = Self::of(device, queue, &found.info, subgroup);
        device.policy.matrix_units = !matrix_units.is_empty();
        device.device.set_device_lost_callback({
            let lost = device.lost.clone();
            move |_, reason| *lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(reason)
        });
        // What no scope catches is logged, where wgpu's own handler would panic.
        device.device.on_uncaptured_error(Arc::new(|error| log::error!("uncaptured GPU error: {error}")));
        Ok(device)
    }

    /// A device that the program has made for itself, and what it is. Its callbacks stay those of the program.
    ///
    /// # Errors
    /// [`Error::Limit`] if its limits are below WebGPU's baseline.
    pub(crate) fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<(Self, AdapterInfo)> {
        let (info, limits, features) = (device.adapter_info(), device.limits(), device.features());
        check_limits(&limits)?;
        let subgroup = subgroup(&info, features);
        let info = described(info, &limits, features);
        let device = Self::of(device, queue, &info, subgroup);
        #[cfg(not(target_arch = "wasm32"))]
        let device = Self { is_from_program: true, ..device };
        Ok((device, info))
    }

    fn of(device: wgpu::Device, queue: wgpu::Queue, info: &AdapterInfo, subgroup: u32) -> Self {
        let tier = match info.kind {
            AdapterKind::Software => Tier::Software,
            _ => Tier::Hardware,
        };
        let swiftshader = info.name.to_lowercase().contains("swiftshader");
        Self {
            device,
            queue,
            policy: Policy { swiftshader, subgroup, ..tier.into() },
            verified: Verified::default(),
            tuning: Tuning::new(shipped(info)),
            fault: None,
            emulator: None,
            shader_checks: cfg!(debug_assertions),
            pipelines: Pipelines::default(),
            lost: Arc::default(),
            #[cfg(not(target_arch = "wasm32"))]
            is_from_program: false,
            #[cfg(not(target_arch = "wasm32"))]
            disk_cache: None,
        }
    }

    /// Turns the bounds checks and loop counters that the shader compiler adds on or off, for sessions loaded from now
    /// on. They cost up to half the speed on software adapters; they are on in debug builds and off in release builds.
    /// Browsers always check.
    pub fn set_shader_checks(&mut self, on: bool) {
        self.shader_checks = on;
    }

    /// Overrides what the adapter was taken for, for sessions loaded from now on: to test or time the other tier's
    /// kernels on it. Configurations that were timed are forgotten, since they are about the adapter as it is.
    pub fn set_tier(&mut self, tier: Tier) {
        self.policy.tier = tier;
        self.forget_tuned();
    }

    /// Runs convolutions in this way wherever that is possible, for sessions loaded from now on: to test or time it. The
    /// names are those of [`Policy::preferred`].
    pub fn prefer(&mut self, kernel: Option<&'static str>) {
        self.policy.preferred = kernel;
    }

    /// For sessions loaded from now on. The adapter sees to it that the device has it. Configurations that were timed are forgotten,
    /// since they are about another precision.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        if precision != self.policy.precision {
            self.policy.precision = precision;
            self.forget_tuned();
        }
    }

    /// Runs convolutions with these configurations, which were timed on this machine, for sessions loaded from now on. A device
    /// begins with those that are shipped for its kind of adapter, which these go before.
    pub fn add_tuned(&mut self, timed: &TuningTable) {
        self.tuning = self.tuning.with(timed);
    }

    /// Forgets all configurations, those that are shipped included: everything is then run by heuristics.
    pub fn forget_tuned(&mut self) {
        self.tuning = self.tuning.without_choices();
    }

    /// The configurations it has, for the precision that is set.
    pub fn tuned(&self) -> TuningTable {
        self.tuning.known()
    }

    /// Those among them that were timed on this machine.
    pub fn timed(&self) -> TuningTable {
        self.tuning.timed()
    }

    /// Times what could run the convolutions of a network when a session is loaded, those that were timed before or came with
    /// [`Device::add_tuned`] excepted, and uses what is best. That takes seconds to minutes, and is told to the listener.
    pub fn tune_when_loading(&mut self, listener: TuneListener) {
        self.tuning.listener = Some(listener);
    }

    /// Who is told of tuning, if it is wanted. What is found belongs to the precision that is set: where another has to stand in
    /// for it, nothing is timed.
    pub(crate) fn tunes(&self) -> Option<&TuneListener> {
        self.tuning.listener.as_ref().filter(|_| self.has_its_precision())
    }

    fn has_its_precision(&self) -> bool {
        self.verified.precision(self.policy.precision) == self.policy.precision
    }

    /// Whether there is a configuration that was timed on this machine.
    pub(crate) fn has_tuned(&self, layer: &str) -> bool {
        self.tuning.is_timed(layer)
    }

    /// Notes the best configuration for a layer.
    pub(crate) fn found_best(&self, layer: &str, config: KernelConfig) {
        self.tuning.found_best(layer, config);
    }

    /// By what kernels are chosen for a load that begins now. It keeps the value: what other loads find out later is no concern
    /// of it.
    pub fn policy(&self) -> Policy {
        let precision = self.verified.precision(self.policy.precision);
        let tuning = if self.has_its_precision() { self.tuning.known() } else { TuningTable::default() };
        Policy { excluded: self.verified.excluded(), precision, tuning, ..self.policy.clone() }
    }

    /// Keeps in a folder, and takes from there, what spares the next process time on the adapter of this description: compiled
    /// pipelines, where the driver gives them, and which shaders were found to be right. Whatever cannot be read or written is
    /// logged at level `info`.
    ///
    /// # Safety
    /// Files in the folder must be as this function has left them: drivers do not check what they are given.
    #[cfg(not(target_arch = "wasm32"))]
    pub unsafe fn keep_in(&mut self, folder: &std::path::Path, info: &AdapterInfo) {
        // SAFETY: the caller's promise.
        self.disk_cache = Some(Arc::new(unsafe { DiskCache::open(folder, info, &self.device) }));
    }

    /// What is kept on disk for other processes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn disk_cache(&self) -> Option<&DiskCache> {
        // Nobody else should know what was found out about a device that is made to fail, or to have what it has not.
        self.disk_cache.as_deref().filter(|_| self.fault.is_none() && self.emulator.is_none())
    }

    /// Writes down what is to be kept.
    pub(crate) fn save(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(cache) = self.disk_cache() {
            cache.save();
        }
    }

    /// Whether a shader was compared with the CPU path here, and found right.
    pub(crate) fn is_verified(&self, shader: &ShaderKey) -> bool {
        if self.verified.is_right(shader, self.shader_checks) {
            return true;
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.disk_cache().is_some_and(|cache| cache.is_right(shader, self.shader_checks)) {
            self.verified.found_right(shader, self.shader_checks);
            return true;
        }
        false
    }

    /// Notes that it was.
    pub(crate) fn found_right(&self, shader: &ShaderKey) {
        self.verified.found_right(shader, self.shader_checks);
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(cache) = self.disk_cache() {
            cache.found_right(shader, self.shader_checks);
        }
    }

    /// Notes that a kernel or an algorithm computes wrong results: later loads do without it.
    pub(crate) fn exclude(&self, name: &'static str) {
        self.verified.exclude(name);
    }

    /// Notes that something computes wrong results in a precision: later loads compute in single precision.
    pub(crate) fn exclude_precision(&self, precision: Precision) {
        self.verified.exclude_precision(precision);
    }

    /// Makes the convolutions of a shader family, such as `conv_direct`, compute wrong results in the precision that is set, in
    /// sessions loaded from now on, as a faulty driver would. For tests of what is made of that; the device is then a different
    /// one for all that was found out.
    pub fn break_kernels(&mut self, family: &'static str) {
        self.fault = Some((family, self.policy.precision));
        self.verified = Verified::default();
        self.pipelines = Pipelines::default();
    }

    /// Runs the shader for matrix units, which most devices do not have, in sessions loaded from now on: the emulator gets its
    /// WGSL and writes the matrices out in ordinary arithmetic. For tests of all else in it.
    pub fn emulate_matrix_units(&mut self, emulator: fn(&str) -> String) {
        self.policy.matrix_units = true;
        self.emulator = Some(emulator);
        self.verified = Verified::default();
        self.pipelines = Pipelines::default();
    }

    /// The tiles of the Winograd convolution that runs a convolution with an output of this height and width, unless it
    /// is run otherwise. Reflected and other padding is done beforehand, and is not looked at.
    pub fn winograd(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Winograd> {
        winograd_tiles(&Conv2d { padding_mode: PaddingMode::Zeros, ..conv.clone() }, output, &self.policy())
    }

    /// Whether shaders may store and compute in half precision.
    pub(crate) fn has_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Gives the device up: every later use says that it is lost. For tests of recovery.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Whether a program has made it for itself.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn is_from_program(&self) -> bool {
        self.is_from_program
    }

    /// Notes that the device has gone: every later use says so.
    pub(crate) fn was_lost(&self, reason: String) {
        *self.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(reason);
    }

    /// Fails if the device has gone.
    pub(crate) fn check_alive(&self) -> Result<()> {
        match &*self.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(reason) => Err(Error::DeviceLost { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Does something with the device and waits for its verdict, so that errors come where they belong.
    pub(in crate::gpu) async fn checked<T>(&self, doing: &str, action: impl FnOnce() -> T) -> Result<T> {
        self.check_alive()?;
        let (result, verdict) = self.scoped(doing, action);
        verdict.await?;
        Ok(result)
    }

    /// Does something with the device; the verdict may be awaited later.
    pub(in crate::gpu) fn scoped<T>(
        &self,
        doing: &str,
        action: impl FnOnce() -> T,
    ) -> (T, impl Future<Output = Result<()>>) {
        // The guards must not live across an await, or futures would not be `Send`.
        let scopes = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let result = action();
        let [memory, validation, internal] = scopes;
        let internal = internal.pop();
        let validation = validation.pop();
        let verdicts = [internal, validation, memory.pop()];
        let verdict = async move {
            for verdict in verdicts {
                self.report(doing, verdict.await)?;
            }
            Ok(())
        };
        (result, verdict)
    }

    fn report(&self, doing: &str, error: Option<wgpu::Error>) -> Result<()> {
        match error {
            None => Ok(()),
            Some(error) => {
                // A lost device makes everything else fail too; the loss is what the user should hear of. wgpu tells of it when
                // it is polled.
                #[cfg(not(target_arch = "wasm32"))]
                let _ = self.device.poll(wgpu::PollType::Poll);
                self.check_alive()?;
                Err(match error {
                    wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { doing: doing.into() },
                    other => Error::Gpu { doing: doing.into(), reason: one_line(&other) },
                })
            }
        }
    }

    /// Bytes of the largest buffer that can be made and bound.
    pub(in crate::gpu) fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        // Shaders index with 32 bits.
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(i32::MAX as u64)
    }

    /// Fails if a buffer of `bytes` cannot be made and bound.
    pub(in crate::gpu) fn check_binding(&self, what: &str, bytes: u64) -> Result<()> {
        let limits = self.device.limits();
        for (limit, limit_name) in [
            (limits.max_storage_buffer_binding_size, "maxStorageBufferBindingSize"),
            (limits.max_buffer_size, "maxBufferSize"),
        ] {
            if bytes > limit {
                let way_out = "use a smaller batch or input, or `cpu` as the adapter";
                return Err(Error::Limit { what: what.into(), needed: bytes, limit, limit_name, way_out });
            }
        }
        Ok(())
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
