//! Adapters: GPUs and the CPU path, and how one is selected.

use crate::{AdapterInfo, AdapterKind, Error, Precision, Result, gpu};

/// Which adapter is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// A hardware adapter, discrete before integrated, else the CPU path.
    #[default]
    Auto,
    /// An index of the list, `cpu`, or a part of an adapter's or driver's name, whatever the case.
    Named(String),
}

/// An open adapter: a GPU device or the CPU path.
#[derive(Clone, Debug)]
pub struct Adapter {
    info: AdapterInfo,
    backend: Backend,
}

#[derive(Clone, Debug)]
pub(crate) enum Backend {
    Cpu,
    Gpu(gpu::Device),
}

impl Adapter {
    /// Every adapter there is, the best first; the last one is always the CPU path.
    pub async fn list() -> Vec<AdapterInfo> {
        with_cpu(&gpu::find().await)
    }

    /// The entry of [`Adapter::list`] that [`Selector::Auto`] takes: the first hardware adapter, else the CPU path.
    pub fn default_index(list: &[AdapterInfo]) -> Option<usize> {
        let cpu = || list.iter().position(|info| info.kind == AdapterKind::Cpu);
        list.iter().position(|info| info.kind.is_hardware()).or_else(cpu)
    }

    /// Opens an adapter.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let adapter = doconv::Adapter::open(&doconv::Selector::Named("cpu".into())).await?;
    /// assert_eq!(adapter.info().name, "cpu");
    /// # Ok::<(), doconv::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with the list if the name matches nothing; [`Error::Gpu`] if the driver fails.
    pub async fn open(selector: &Selector) -> Result<Self> {
        // Drivers take time to ask, and may fail or print, which is no concern of the CPU path.
        if matches!(selector, Selector::Named(name) if is_cpu(name)) {
            return Ok(Self::cpu());
        }
        let found = gpu::find().await;
        let mut list = with_cpu(&found);
        let index = choose(&list, selector)?;
        let backend = match found.get(index) {
            Some(found) => Backend::Gpu(gpu::Device::open(found).await?),
            None => Backend::Cpu,
        };
        Ok(Self { info: list.swap_remove(index), backend })
    }

    /// The GPU device of a program that has one already: networks then run beside what else it does, on the same queue.
    ///
    /// Features that the device was made with are used: `SHADER_F16` for half precision, `SUBGROUP`, and `PIPELINE_CACHE` and
    /// `TIMESTAMP_QUERY` with `TIMESTAMP_QUERY_INSIDE_ENCODERS`; none is needed. The program's callbacks for lost devices and
    /// uncaptured errors stay. wgpu tells of a lost device only there: call [`Adapter::was_lost`] in it, and sessions give
    /// [`Error::DeviceLost`], not another error.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use doconv::{Adapter, wgpu};
    ///
    /// let instance = wgpu::Instance::default();
    /// let Ok(adapter) = instance.request_adapter(&Default::default()).await else { return };
    /// let (device, queue) = adapter.request_device(&Default::default()).await.unwrap();
    /// let adapter = Adapter::from_wgpu(device, queue).unwrap();
    /// println!("{}", adapter.info().name);
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`Error::Limit`] if the device was made with limits below `wgpu::Limits::default()`.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let (device, info) = gpu::Device::from_wgpu(device, queue)?;
        Ok(Self { info, backend: Backend::Gpu(device) })
    }

    /// Notes that the device of [`Adapter::from_wgpu`] was lost; on the CPU path, nothing.
    pub fn was_lost(&self, reason: impl Into<String>) {
        if let Backend::Gpu(device) = &self.backend {
            device.was_lost(reason.into());
        }
    }

    /// The CPU path, which is always there.
    pub fn cpu() -> Self {
        Self { info: cpu_info(), backend: Backend::Cpu }
    }

    /// What was opened.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// The GPU device, unless this is the CPU path.
    pub fn gpu(&self) -> Option<&gpu::Device> {
        match &self.backend {
            Backend::Cpu => None,
            Backend::Gpu(device) => Some(device),
        }
    }

    /// The same, with its device changed, where there is one: see [`gpu::Device::set_tier`] and
    /// [`gpu::Device::set_shader_checks`].
    #[must_use]
    pub fn with_device(mut self, change: impl FnOnce(&mut gpu::Device)) -> Self {
        if let Backend::Gpu(device) = &mut self.backend {
            change(device);
        }
        self
    }

    /// The same, storing numbers and computing in this precision in sessions loaded from now on. Where a kernel is found to
    /// compute wrong results in it, sessions fall back on `f32`: see [`Session::faults`](crate::Session::faults).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use doconv::{Adapter, Precision, Selector};
    ///
    /// for index in 0..Adapter::list().await.len() {
    ///     let adapter = Adapter::open(&Selector::Named(index.to_string())).await?;
    ///     let has_f16 = adapter.info().features.iter().any(|feature| feature == "shader-f16");
    ///     assert_eq!(adapter.with_precision(Precision::F16Storage).is_ok(), has_f16);
    /// }
    /// # Ok::<(), doconv::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Precision`] if the adapter has no half precision, or is the CPU path, which computes in `f32`.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        let lacks = |adapter: &str| Error::Precision { adapter: adapter.into(), wanted: precision };
        match &mut self.backend {
            Backend::Gpu(device) if precision == Precision::F32 || device.has_f16() => device.set_precision(precision),
            Backend::Gpu(_) => return Err(lacks(&self.info.name)),
            Backend::Cpu if precision == Precision::F32 => {}
            Backend::Cpu => return Err(lacks("the CPU path computes in f32")),
        }
        Ok(self)
    }

    /// In what precision sessions are loaded: what was asked for, or `f32` where that was found to be wrong here.
    pub fn precision(&self) -> Precision {
        self.gpu().map_or(Precision::F32, |device| device.policy().precision)
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }
}

/// The adapter list: the GPUs, and the CPU path last.
fn with_cpu(found: &[gpu::Found]) -> Vec<AdapterInfo> {
    found.iter().map(|found| found.info.clone()).chain([cpu_info()]).collect()
}

fn cpu_info() -> AdapterInfo {
    AdapterInfo {
        name: "cpu".into(),
        backend: "cpu".into(),
        driver: cpu_driver(crate::cpu::threads()),
        kind: AdapterKind::Cpu,
        features: vec![],
        limits: Default::default(),
        vendor: None,
        architecture: None,
    }
}

/// What the CPU path is, with so many threads.
pub(crate) fn cpu_driver(threads: usize) -> String {
    format!("doconv {}, {threads} thread{}", env!("CARGO_PKG_VERSION"), if threads == 1 { "" } else { "s" })
}

/// The index of the adapter that a selector means.
fn choose(list: &[AdapterInfo], selector: &Selector) -> Result<usize> {
    let found = match selector {
        Selector::Auto => Adapter::default_index(list),
        // `1` is an index, `4090` part of a name.
        Selector::Named(name) => {
            let index = name.trim().parse().ok().filter(|&index: &usize| index < list.len());
            index.or_else(|| find_by_name(list, name))
        }
    };
    found.ok_or_else(|| Error::NoAdapter {
        wanted: match selector {
            Selector::Auto => "auto".into(),
            Selector::Named(name) => name.clone(),
        },
        available: list.iter().enumerate().map(|(index, info)| format!("{index}: {}", info.name)).collect(),
    })
}

fn is_cpu(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("cpu")
}

fn find_by_name(list: &[AdapterInfo], name: &str) -> Option<usize> {
    let wanted = name.trim().to_lowercase();
    if wanted.is_empty() {
        return None;
    }
    // `cpu` is a name of its own, whatever else has these letters in it.
    if is_cpu(name) {
        return list.iter().position(|info| info.kind == AdapterKind::Cpu);
    }
    // Mesa's Vulkan driver for CPUs is called lavapipe, and calls its device after the rasteriser within.
    let alias = if wanted == "lavapipe" { "llvmpipe" } else { &wanted };
    let matches = |text: &str| [&wanted, alias].iter().any(|name| text.to_lowercase().contains(*name));
    list.iter()
        .position(|info| info.kind != AdapterKind::Cpu && matches(&info.name))
        .or_else(|| list.iter().position(|info| info.kind != AdapterKind::Cpu && matches(&info.driver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, driver: &str, kind: AdapterKind) -> AdapterInfo {
        AdapterInfo { name: name.into(), driver: driver.into(), kind, ..cpu_info() }
    }

    fn machine() -> Vec<AdapterInfo> {
        vec![
            entry("GeForce", "NVIDIA 580", AdapterKind::Discrete),
            entry("Iris", "Mesa 24", AdapterKind::Integrated),
            entry("llvmpipe (LLVM 15)", "lavapipe Mesa 22", AdapterKind::Software),
            cpu_info(),
        ]
    }

    fn choice(list: &[AdapterInfo], name: &str) -> Option<usize> {
        choose(list, &Selector::Named(name.into())).ok()
    }

    #[test]
    fn hardware_comes_first_and_software_never_by_itself() {
        assert_eq!(choose(&machine(), &Selector::Auto).unwrap(), 0);
        assert_eq!(choose(&machine()[2..], &Selector::Auto).unwrap(), 1);
    }

    #[test]
    fn names_match_in_part_and_in_any_case() {
        let list = machine();
        assert_eq!(choice(&list, "geforce"), Some(0));
        assert_eq!(choice(&list, "LAVAPIPE"), Some(2));
        assert_eq!(choice(&list, "cpu"), Some(3));
        assert_eq!(choice(&list, "1"), Some(1));
        assert_eq!(choice(&list, "24"), Some(1));
        assert_eq!(choice(&list, "4"), Some(1), "the first name with a 4 in it is Mesa 24");
        assert_eq!(choice(&list, "9"), None);
        assert_eq!(choice(&list, ""), None);
        let list = [entry("llvmpipe (LLVM 20)", "llvmpipe Mesa 25", AdapterKind::Software)];
        assert_eq!(choice(&list, "lavapipe"), Some(0), "Mesa names the device after the rasteriser");
    }

    #[test]
    fn a_wrong_name_lists_what_there_is() {
        let error = choose(&machine(), &Selector::Named("voodoo".into())).unwrap_err();
        let expected = "no adapter matches `voodoo`; there is: 0: GeForce, 1: Iris, 2: llvmpipe (LLVM 15), 3: cpu";
        assert_eq!(error.to_string(), expected);
    }
}
