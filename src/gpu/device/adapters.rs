//! Which adapters the platform offers, and what is asked of one that is opened.

use crate::adapter_info::{AdapterInfo, AdapterKind};
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::kernels::conv::{MATRIX_PIXELS, MATRIX_SIDE};
use crate::{Error, Result};

/// An adapter that can be opened.
pub(crate) struct Found {
    pub info: AdapterInfo,
    pub(super) adapter: wgpu::Adapter,
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
    described(adapter.get_info(), &adapter.limits(), adapter.features())
}

/// What an adapter is, with limits and features of its own or of a device that was made with fewer.
pub(super) fn described(info: wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> AdapterInfo {
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

/// What timing on the GPU's own clock needs: no feature of browsers, in which submissions are timed.
pub(super) const TIMESTAMPS: wgpu::Features = if cfg!(target_arch = "wasm32") {
    wgpu::Features::empty()
} else {
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS)
};

/// Half precision for those who want it, a quicker start, and a clock; no network needs any of them.
pub(super) fn wanted_features() -> wgpu::Features {
    wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE | subgroups() | TIMESTAMPS
}

/// Browsers do not say how many invocations are one.
fn subgroups() -> wgpu::Features {
    if cfg!(target_arch = "wasm32") { wgpu::Features::empty() } else { wgpu::Features::SUBGROUP }
}

/// How many invocations are a subgroup, if that is known and the kernel `subgroup` has a use for it;
/// otherwise 0.
pub(super) fn subgroup(info: &wgpu::AdapterInfo, features: wgpu::Features) -> u32 {
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    let has = features.contains(subgroups()) && least == most && [4, 8].contains(&most);
    if cfg!(not(target_arch = "wasm32")) && has { most } else { 0 }
}

/// The feature that gives matrix units, where they have matrices and subgroups as `conv/matrix.wgsl` wants them.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn matrix_units(adapter: &wgpu::Adapter) -> wgpu::Features {
    let feature = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    let info = adapter.get_info();
    let subgroups = [info.subgroup_min_size, info.subgroup_max_size];
    let side = MATRIX_SIDE;
    let fits = |offered: &wgpu::CooperativeMatrixProperties| {
        [offered.m_size, offered.n_size, offered.k_size] == [side; 3]
            && offered.ab_type == wgpu::CooperativeScalarType::F16
            && offered.cr_type == wgpu::CooperativeScalarType::F32
    };
    let has = adapter.features().contains(feature | wgpu::Features::SHADER_F16)
        && subgroups == [MATRIX_PIXELS; 2]
        && adapter.cooperative_matrix_properties().iter().any(fits);
    if has { feature } else { wgpu::Features::empty() }
}

/// Browsers have none.
#[cfg(target_arch = "wasm32")]
pub(super) fn matrix_units(_: &wgpu::Adapter) -> wgpu::Features {
    wgpu::Features::empty()
}

/// The baseline that every browser promises, but buffers as large as the adapter allows.
pub(super) fn wanted_limits(offered: &wgpu::Limits) -> wgpu::Limits {
    let baseline = wgpu::Limits::default();
    wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        ..baseline.or_worse_values_from(offered)
    }
}

/// Fails if a device was made with less than shaders take for granted: the baseline that every browser promises, as far as they
/// need it.
///
/// # Errors
/// [`Error::Limit`] with the first limit that is lower.
pub(super) fn check_limits(limits: &wgpu::Limits) -> Result<()> {
    let baseline = wgpu::Limits::default();
    let of = |limits: &wgpu::Limits| -> [(&'static str, u64); 10] {
        [
            ("maxBufferSize", limits.max_buffer_size),
            ("maxStorageBufferBindingSize", limits.max_storage_buffer_binding_size),
            ("maxStorageBuffersPerShaderStage", limits.max_storage_buffers_per_shader_stage.into()),
            ("maxUniformBufferBindingSize", limits.max_uniform_buffer_binding_size),
            ("maxComputeWorkgroupStorageSize", limits.max_compute_workgroup_storage_size.into()),
            ("maxComputeInvocationsPerWorkgroup", limits.max_compute_invocations_per_workgroup.into()),
            ("maxComputeWorkgroupSizeX", limits.max_compute_workgroup_size_x.into()),
            ("maxComputeWorkgroupSizeY", limits.max_compute_workgroup_size_y.into()),
            ("maxComputeWorkgroupSizeZ", limits.max_compute_workgroup_size_z.into()),
            ("maxComputeWorkgroupsPerDimension", limits.max_compute_workgroups_per_dimension.into()),
        ]
    };
    for ((limit_name, limit), (_, needed)) in of(limits).into_iter().zip(of(&baseline)) {
        if limit < needed {
            let way_out = "make the device with `wgpu::Limits::default()`";
            return Err(Error::Limit { what: "the device".into(), needed, limit, limit_name, way_out });
        }
    }
    Ok(())
}
