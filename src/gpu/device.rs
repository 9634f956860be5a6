//! Opening an adapter: which there are, what tier they are, and what goes wrong.

use std::sync::{Arc, Mutex};

use super::choice::Choice;
use super::choose::{Algorithm, Policy, winograd};
#[cfg(not(target_arch = "wasm32"))]
use super::kept::Kept;
use super::pipelines::Pipelines;
#[cfg(not(target_arch = "wasm32"))]
use super::shader::{COOPERATIVE_PIXELS, COOPERATIVE_SIDE};
use super::stopwatch;
use super::trust::Trust;
use super::tuned::{Tuned, Tuning};
use super::variant::Variant;
use super::winograd::Winograd;
use crate::adapter_info::{AdapterInfo, AdapterKind};
use crate::network::{Conv2d, PaddingMode};
use crate::tuning::{TuneListener, stored};
use crate::{Error, Precision, Result};

/// What kernels an adapter should get. Decided here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Shaders run on the CPU: no workgroup memory, no barriers, large register tiles.
    Software,
    /// A GPU: tiles in workgroup memory.
    Hardware,
}

/// An open GPU device.
#[derive(Clone, Debug)]
pub struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    policy: Policy,
    trust: Trust,
    tuning: Tuning,
    /// Whether the shader compiler adds bounds checks and loop counters.
    pub(super) shader_checks: bool,
    pub(super) pipelines: Pipelines,
    /// A shader family that is made to compute wrong results, and in which precision.
    pub(super) fault: Option<(&'static str, Precision)>,
    /// Writes the shader for matrix units without them.
    pub(super) emulator: Option<fn(&str) -> String>,
    lost: Arc<Mutex<Option<String>>>,
    #[cfg(not(target_arch = "wasm32"))]
    kept: Option<Arc<Kept>>,
}

/// An adapter that can be opened.
pub(crate) struct Found {
    pub info: AdapterInfo,
    adapter: wgpu::Adapter,
}

/// Every adapter that the platform offers, hardware first and discrete before integrated.
pub(crate) async fn find() -> Vec<Found> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends &= wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor);
    #[cfg(target_arch = "wasm32")]
    return find_in_browser(&instance).await;
    #[cfg(not(target_arch = "wasm32"))]
    sorted(instance.enumerate_adapters(wgpu::Backends::PRIMARY).await)
}

/// A browser offers one adapter: the best one, if it is asked for that.
#[cfg(target_arch = "wasm32")]
async fn find_in_browser(instance: &wgpu::Instance) -> Vec<Found> {
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let Ok(adapter) = instance.request_adapter(&options).await else { return vec![] };
    let told = super::browser::adapter_info().await.unwrap_or_default();
    vec![Found { info: info_in_browser(info(&adapter), told), adapter }]
}

#[cfg(not(target_arch = "wasm32"))]
fn sorted(mut adapters: Vec<wgpu::Adapter>) -> Vec<Found> {
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters.into_iter().map(|adapter| Found { info: info(&adapter), adapter }).collect()
}

fn info(adapter: &wgpu::Adapter) -> AdapterInfo {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let optional = [
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative-matrix"),
    ];
    AdapterInfo {
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            _ if is_software(&info) => AdapterKind::Software,
            _ => AdapterKind::Other,
        },
        name: info.name,
        driver: [info.driver, info.driver_info]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        backend: format!("{:?}", info.backend).to_lowercase(),
        features: optional
            .iter()
            .filter(|(flag, _)| features.contains(*flag))
            .map(|(_, name)| (*name).into())
            .collect(),
        limits: [
            ("maxBufferSize", limits.max_buffer_size),
            ("maxStorageBufferBindingSize", limits.max_storage_buffer_binding_size),
            ("maxComputeWorkgroupStorageSize", limits.max_compute_workgroup_storage_size.into()),
            ("maxComputeInvocationsPerWorkgroup", limits.max_compute_invocations_per_workgroup.into()),
        ]
        .map(|(name, value)| (name.into(), value))
        .into(),
        vendor: None,
        architecture: None,
    }
}

/// The same with what the browser tells.
#[cfg(target_arch = "wasm32")]
fn info_in_browser(info: AdapterInfo, told: super::browser::Info) -> AdapterInfo {
    let super::browser::Info { vendor, architecture, device, description } = told;
    let words = |parts: &[&String]| {
        let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    };
    let name = [words(&[&description]), words(&[&vendor, &architecture]), "WebGPU".into()];
    let is_software = has_software_name(&words(&[&vendor, &architecture, &device, &description]));
    let told = |text: String| Some(text).filter(|text| !text.is_empty());
    AdapterInfo {
        name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        backend: "webgpu".into(),
        kind: if is_software { AdapterKind::Software } else { info.kind },
        vendor: told(vendor),
        architecture: told(architecture),
        ..info
    }
}

/// Drivers may not say what type an adapter is; the software ones have well-known names.
fn is_software(info: &wgpu::AdapterInfo) -> bool {
    has_software_name(&format!("{} {} {}", info.name, info.driver, info.driver_info))
}

fn has_software_name(text: &str) -> bool {
    let text = text.to_lowercase();
    ["swiftshader", "llvmpipe", "lavapipe", "warp", "basic render"].iter().any(|name| text.contains(name))
}

impl Device {
    /// # Errors
    /// [`Error::Gpu`] if the driver gives no device.
    pub(crate) async fn open(found: &Found) -> Result<Self> {
        let adapter = &found.adapter;
        let tier = match found.info.kind {
            AdapterKind::Software => Tier::Software,
            _ => Tier::Hardware,
        };
        let matrix_units = matrix_units(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("doconv"),
            // Half precision for those who want it, a quicker start, and a clock; no network needs any of them.
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
        let lost = Arc::new(Mutex::new(None));
        device.set_device_lost_callback({
            let lost = lost.clone();
            move |_, reason| *lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(reason)
        });
        // What no scope catches is logged, where wgpu's own handler would panic.
        device.on_uncaptured_error(Arc::new(|error| log::error!("uncaptured GPU error: {error}")));
        Ok(Self {
            device,
            queue,
            policy: Policy {
                cooperative: !matrix_units.is_empty(),
                swiftshader: found.info.name.to_lowercase().contains("swiftshader"),
                subgroup: subgroup(adapter),
                ..tier.into()
            },
            trust: Trust::default(),
            tuning: Tuning::new(stored::shipped(&found.info)),
            fault: None,
            emulator: None,
            shader_checks: cfg!(debug_assertions),
            pipelines: Pipelines::default(),
            lost,
            #[cfg(not(target_arch = "wasm32"))]
            kept: None,
        })
    }

    /// Turns the bounds checks and loop counters that the shader compiler adds on or off, for sessions loaded from now
    /// on. They cost up to half the speed on software adapters; they are on in debug builds and off in release builds.
    /// Browsers always check.
    pub fn set_shader_checks(&mut self, on: bool) {
        self.shader_checks = on;
    }

    /// Overrides what the adapter was taken for, for sessions loaded from now on: to test or time the other tier's
    /// kernels on it. Choices that were timed are forgotten, since they are about the adapter as it is.
    pub fn set_tier(&mut self, tier: Tier) {
        self.policy.tier = tier;
        self.forget_tuned();
    }

    /// Runs convolutions in this way wherever that is possible, for sessions loaded from now on: to test or time it.
    pub fn prefer(&mut self, algorithm: Option<Algorithm>) {
        self.policy.preferred = algorithm;
    }

    /// For sessions loaded from now on. The adapter sees to it that the device has it. Choices that were timed are forgotten,
    /// since they are about another precision.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        if precision != self.policy.precision {
            self.policy.precision = precision;
            self.forget_tuned();
        }
    }

    /// Runs convolutions as these choices say, which were timed on this machine, for sessions loaded from now on. A device
    /// begins with those that are shipped for its kind of adapter, which these go before.
    pub fn add_tuned(&mut self, timed: &Tuned) {
        self.tuning = self.tuning.with(timed);
    }

    /// Forgets all choices, those that are shipped included: everything is then run by heuristics.
    pub fn forget_tuned(&mut self) {
        self.tuning = self.tuning.without_choices();
    }

    /// The choices it has, for the precision that is set.
    pub fn tuned(&self) -> Tuned {
        self.tuning.known()
    }

    /// Those among them that were timed on this machine.
    pub fn timed(&self) -> Tuned {
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
        self.trust.precision(self.policy.precision) == self.policy.precision
    }

    /// Whether there is a choice that was timed on this machine.
    pub(crate) fn has_tuned(&self, layer: &str) -> bool {
        self.tuning.is_timed(layer)
    }

    /// Notes the best choice for a layer.
    pub(crate) fn found_best(&self, layer: &str, choice: Choice) {
        self.tuning.found_best(layer, choice);
    }

    /// By what its kernels are chosen now.
    pub(crate) fn policy(&self) -> Policy {
        let precision = self.trust.precision(self.policy.precision);
        let tuned = if self.has_its_precision() { self.tuning.known() } else { Tuned::default() };
        Policy { distrusted: self.trust.distrusted(), precision, tuned, ..self.policy.clone() }
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
        self.kept = Some(Arc::new(unsafe { Kept::open(folder, info, &self.device) }));
    }

    /// What is kept for other processes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn kept(&self) -> Option<&Kept> {
        // Nobody else should know what was found out about a device that is made to fail, or to have what it has not.
        self.kept.as_deref().filter(|_| self.fault.is_none() && self.emulator.is_none())
    }

    /// Writes down what is to be kept.
    pub(crate) fn save(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(kept) = self.kept() {
            kept.save();
        }
    }

    /// Whether a shader was found to compute what it should.
    pub(crate) fn is_right(&self, shader: Variant) -> bool {
        if self.trust.is_right(shader, self.shader_checks) {
            return true;
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.kept().is_some_and(|kept| kept.is_right(&shader.wgsl(), self.shader_checks)) {
            self.trust.found_right(shader, self.shader_checks);
            return true;
        }
        false
    }

    /// Notes that it does.
    pub(crate) fn found_right(&self, shader: Variant) {
        self.trust.found_right(shader, self.shader_checks);
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(kept) = self.kept() {
            kept.found_right(&shader.wgsl(), self.shader_checks);
        }
    }

    /// Notes that an algorithm computes wrong results, and says whether that is news.
    pub(crate) fn distrust(&self, algorithm: Algorithm) -> bool {
        self.trust.distrust(algorithm)
    }

    /// Notes that something computes wrong results in a precision, and says whether there is another to fall back on.
    pub(crate) fn distrust_precision(&self, precision: Precision) -> bool {
        self.trust.distrust_precision(precision)
    }

    /// Makes the convolutions of a shader family, such as `conv_direct`, compute wrong results in the precision that is set, in
    /// sessions loaded from now on, as a faulty driver would. For tests of what is made of that; the device is then a different
    /// one for all that was found out.
    pub fn break_kernels(&mut self, family: &'static str) {
        self.fault = Some((family, self.policy.precision));
        self.trust = Trust::default();
        self.pipelines = Pipelines::default();
    }

    /// Runs the shader for matrix units, which most devices do not have, in sessions loaded from now on: the emulator gets its
    /// WGSL and writes the matrices out in ordinary arithmetic. For tests of all else in it.
    pub fn emulate_matrix_units(&mut self, emulator: fn(&str) -> String) {
        self.policy.cooperative = true;
        self.emulator = Some(emulator);
        self.trust = Trust::default();
        self.pipelines = Pipelines::default();
    }

    /// The tiles with which a convolution with an output of this height and width is run by Winograd's filtering, unless it
    /// is run otherwise. Reflected and other padding is done beforehand, and is not looked at.
    pub fn winograd(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Winograd> {
        winograd(&Conv2d { padding_mode: PaddingMode::Zeros, ..conv.clone() }, output, &self.policy())
    }

    /// Whether shaders may store and compute in half precision.
    pub(crate) fn has_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Gives the device up: every later use says that it is lost. For tests of recovery.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Fails if the device has gone.
    pub(super) fn check_alive(&self) -> Result<()> {
        match &*self.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(reason) => Err(Error::DeviceLost { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Does something with the device and waits for its verdict, so that errors come where they belong.
    pub(super) async fn checked<T>(&self, doing: &str, action: impl FnOnce() -> T) -> Result<T> {
        self.check_alive()?;
        let (result, verdict) = self.scoped(doing, action);
        verdict.await?;
        Ok(result)
    }

    /// Does something with the device; the verdict may be awaited later.
    pub(super) fn scoped<T>(&self, doing: &str, action: impl FnOnce() -> T) -> (T, impl Future<Output = Result<()>>) {
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
                // A lost device makes everything else fail too; the loss is what the user should hear of.
                self.check_alive()?;
                Err(match error {
                    wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { doing: doing.into() },
                    other => Error::Gpu { doing: doing.into(), reason: one_line(&other) },
                })
            }
        }
    }

    /// Bytes of the largest buffer that can be made and bound.
    pub(super) fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        // Shaders index with 32 bits.
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(i32::MAX as u64)
    }

    /// Fails if a buffer of `bytes` cannot be made and bound.
    pub(super) fn check_binding(&self, what: &str, bytes: u64) -> Result<()> {
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

fn wanted_features() -> wgpu::Features {
    wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE | subgroups() | stopwatch::FEATURES
}

/// Browsers do not say how many invocations are one.
fn subgroups() -> wgpu::Features {
    if cfg!(target_arch = "wasm32") { wgpu::Features::empty() } else { wgpu::Features::SUBGROUP }
}

/// How many invocations are a subgroup, if that is known and [`Family::Subgroup`](super::choose::Family) has a use for it;
/// otherwise 0.
fn subgroup(adapter: &wgpu::Adapter) -> u32 {
    let info = adapter.get_info();
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    let has = adapter.features().contains(subgroups()) && least == most && [4, 8].contains(&most);
    if cfg!(not(target_arch = "wasm32")) && has { most } else { 0 }
}

/// The feature that gives matrix units, where they have matrices and subgroups as `conv_cooperative.wgsl` wants them.
#[cfg(not(target_arch = "wasm32"))]
fn matrix_units(adapter: &wgpu::Adapter) -> wgpu::Features {
    let feature = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    let info = adapter.get_info();
    let subgroups = [info.subgroup_min_size, info.subgroup_max_size];
    let side = COOPERATIVE_SIDE;
    let fits = |offered: &wgpu::CooperativeMatrixProperties| {
        [offered.m_size, offered.n_size, offered.k_size] == [side; 3]
            && offered.ab_type == wgpu::CooperativeScalarType::F16
            && offered.cr_type == wgpu::CooperativeScalarType::F32
    };
    let has = adapter.features().contains(feature | wgpu::Features::SHADER_F16)
        && subgroups == [COOPERATIVE_PIXELS; 2]
        && adapter.cooperative_matrix_properties().iter().any(fits);
    if has { feature } else { wgpu::Features::empty() }
}

/// Browsers have none.
#[cfg(target_arch = "wasm32")]
fn matrix_units(_: &wgpu::Adapter) -> wgpu::Features {
    wgpu::Features::empty()
}

/// The baseline that every browser promises, but buffers as large as the adapter allows.
fn wanted_limits(offered: &wgpu::Limits) -> wgpu::Limits {
    let baseline = wgpu::Limits::default();
    wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        ..baseline.or_worse_values_from(offered)
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
