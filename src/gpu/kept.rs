//! What a device leaves in a folder for the next process: compiled pipelines, where the driver gives them, and which shaders
//! were found to be right.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::AdapterInfo;
use crate::formats::write_file;

/// The files of one adapter with one driver. Whatever goes wrong with them is logged, and is no reason not to work.
#[derive(Debug)]
pub(super) struct Kept {
    pipelines: Option<(PathBuf, wgpu::PipelineCache)>,
    checks: PathBuf,
    adapter: String,
    driver: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Hashes of shaders that were found to be right, with how they were compiled.
    right: HashSet<u64>,
    is_changed: bool,
    /// Bytes of the pipelines as they lie in the file.
    pipelines: usize,
}

#[derive(Serialize, Deserialize)]
struct Checks {
    schema: String,
    adapter: String,
    driver: String,
    right: Vec<u64>,
}

const SCHEMA: &str = "doconv-checks-1";

impl Kept {
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

    pub(super) fn is_right(&self, wgsl: &str, checks: bool) -> bool {
        self.known().right.contains(&hash((wgsl, checks)))
    }

    pub(super) fn found_right(&self, wgsl: &str, checks: bool) {
        let mut known = self.known();
        known.is_changed |= known.right.insert(hash((wgsl, checks)));
    }

    /// Writes what has changed.
    pub(super) fn save(&self) {
        let mut known = self.known();
        if std::mem::take(&mut known.is_changed) {
            let mut right: Vec<u64> = known.right.iter().copied().collect();
            right.sort_unstable();
            let (adapter, driver) = (self.adapter.clone(), self.driver.clone());
            let checks = Checks { schema: SCHEMA.into(), adapter, driver, right };
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

fn read_checks(path: &Path, info: &AdapterInfo) -> HashSet<u64> {
    let Ok(bytes) = std::fs::read(path) else { return HashSet::new() };
    match serde_json::from_slice::<Checks>(&bytes) {
        Ok(checks)
            if (checks.schema.as_str(), checks.adapter.as_str(), checks.driver.as_str())
                == (SCHEMA, info.name.as_str(), info.driver.as_str()) =>
        {
            checks.right.into_iter().collect()
        }
        Ok(_) => HashSet::new(),
        Err(error) => {
            log::info!("{}: {error}; kernels are checked anew", path.display());
            HashSet::new()
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

/// The same in every process of one version of the program: where another version's differs, all is found out anew.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
