//! On-disk cache: compiled pipelines, where the driver gives them, and which shaders were verified.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::adapter_info::AdapterInfo;
use crate::formats::write_file;
use crate::gpu::shader::ShaderKey;

/// The files of one adapter with one driver. Whatever goes wrong with them is logged, and is no reason not to work.
#[derive(Debug)]
pub(super) struct DiskCache {
    pipelines: Option<(PathBuf, wgpu::PipelineCache)>,
    checks: PathBuf,
    adapter: String,
    driver: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Shaders that were found right, with how they were compiled.
    right: BTreeSet<String>,
    is_changed: bool,
    /// Bytes of the pipelines as they lie in the file.
    pipelines: usize,
}

#[derive(Serialize, Deserialize)]
struct Checks {
    schema: String,
    adapter: String,
    driver: String,
    /// The version of the templates.
    templates: String,
    right: BTreeSet<String>,
}

const SCHEMA: &str = "doconv-checks-2";

/// Another version's templates have to be verified anew.
const TEMPLATES: &str = env!("DOCONV_TEMPLATES");

impl DiskCache {
    /// Reads what is there.
    ///
    /// # Safety
    /// The files in the folder must be as this type has written them: drivers trust the pipelines in them.
    pub(super) unsafe fn open(folder: &Path, info: &AdapterInfo, device: &wgpu::Device) -> Self {
        let name = hash((&info.name, &info.backend, &info.driver));
        let checks = folder.join(format!("checks-{name:016x}.json"));
        let mut known = Known { right: read_checks(&checks, info), ..Known::default() };
        let pipelines = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            let path = folder.join(format!("pipelines-{name:016x}.bin"));
            let data = std::fs::read(&path).ok();
            known.pipelines = data.as_ref().map_or(0, Vec::len);
            let descriptor =
                wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: data.as_deref(), fallback: true };
            // SAFETY: as the caller promises, the data is what `PipelineCache::get_data` gave.
            (path, unsafe { device.create_pipeline_cache(&descriptor) })
        });
        let (adapter, driver) = (info.name.clone(), info.driver.clone());
        Self { pipelines, checks, adapter, driver, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Where the driver looks for pipelines, and puts them.
    pub(super) fn pipelines(&self) -> Option<&wgpu::PipelineCache> {
        self.pipelines.as_ref().map(|(_, cache)| cache)
    }

    pub(super) fn is_right(&self, shader: &ShaderKey, checks: bool) -> bool {
        self.known().right.contains(&entry(shader, checks))
    }

    pub(super) fn found_right(&self, shader: &ShaderKey, checks: bool) {
        let mut known = self.known();
        known.is_changed |= known.right.insert(entry(shader, checks));
    }

    /// Writes what has changed.
    pub(super) fn save(&self) {
        let mut known = self.known();
        if std::mem::take(&mut known.is_changed) {
            let (adapter, driver, right) = (self.adapter.clone(), self.driver.clone(), known.right.clone());
            let checks = Checks { schema: SCHEMA.into(), adapter, driver, templates: TEMPLATES.into(), right };
            write(&self.checks, &serde_json::to_vec(&checks).unwrap_or_default());
        }
        let Some((path, cache)) = &self.pipelines else { return };
        // Drivers only ever add to it.
        if let Some(data) = cache.get_data().filter(|data| data.len() != known.pipelines) {
            known.pipelines = data.len();
            write(path, &data);
        }
    }
}

fn read_checks(path: &Path, info: &AdapterInfo) -> BTreeSet<String> {
    let Ok(bytes) = std::fs::read(path) else { return BTreeSet::new() };
    match serde_json::from_slice::<Checks>(&bytes) {
        Ok(checks)
            if [&checks.schema, &checks.templates, &checks.adapter, &checks.driver]
                == [SCHEMA, TEMPLATES, &info.name, &info.driver] =>
        {
            checks.right
        }
        Ok(_) => BTreeSet::new(),
        Err(error) => {
            log::info!("{}: {error}; kernels are verified anew", path.display());
            BTreeSet::new()
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    // A folder that cannot be made is what writing then complains about.
    let _ = path.parent().map(std::fs::create_dir_all);
    if let Err(error) = write_file(path, bytes) {
        log::info!("{error}; nothing is kept");
    }
}

/// What a shader is called in the file.
fn entry(shader: &ShaderKey, checks: bool) -> String {
    format!("{shader}{}", if checks { " with checks" } else { "" })
}

/// The same in every process of one version of the program: another version's files may have other names.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
