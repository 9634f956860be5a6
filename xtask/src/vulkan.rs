//! Which Vulkan drivers are installed, told by their manifests.

use std::path::{Path, PathBuf};

use crate::libraries;
use crate::step::{command, output_of};

/// What is called to reach any driver.
pub const LOADER: &str = "libvulkan.so.1";

/// How SwiftShader's manifest is called, wherever it lies.
const SWIFTSHADER: &str = "vk_swiftshader_icd.json";

/// The installed drivers.
pub struct Drivers {
    /// The loader.
    pub loader: Option<PathBuf>,
    /// Mesa's software driver.
    pub lavapipe: Option<PathBuf>,
    /// The software driver that comes with Chromium.
    pub swiftshader: Option<PathBuf>,
    /// Every other driver.
    pub others: Vec<PathBuf>,
}

impl Drivers {
    /// Looks for them.
    pub fn find() -> Self {
        let mut manifests = manifests();
        let mut take = |wanted: fn(&str) -> bool| {
            let at = manifests.iter().position(|path| wanted(&file_name(path)))?;
            Some(manifests.remove(at))
        };
        let lavapipe = take(|name| name.starts_with("lvp_icd"));
        let swiftshader = take(|name| name == SWIFTSHADER).or_else(swiftshader_of_a_browser);
        Self { loader: libraries::find(LOADER), lavapipe, swiftshader, others: manifests }
    }

    /// Mesa's driver for AMD GPUs, which compiles for them on machines without one.
    pub fn radv(&self) -> Option<PathBuf> {
        self.others.iter().find(|path| file_name(path).starts_with("radeon_icd")).cloned()
    }

    /// All manifests, the software drivers first.
    pub fn manifests(&self) -> impl Iterator<Item = &PathBuf> {
        self.lavapipe.iter().chain(&self.swiftshader).chain(&self.others)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The manifests that the loader would find by itself or is told of, each with a library that is there.
fn manifests() -> Vec<PathBuf> {
    let mut found = vec![];
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"] {
        found.extend(std::env::split_paths(&std::env::var_os(variable).unwrap_or_default()));
    }
    for folder in manifest_folders() {
        let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        found.extend(files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")));
    }
    let mut seen = vec![];
    found.retain(|path| is_usable(path) && is_new(path, &mut seen));
    found
}

/// Where the loader looks, in its order.
fn manifest_folders() -> Vec<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let paths = |variable: &str, default: PathBuf| -> Vec<PathBuf> {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty());
        std::env::split_paths(&value.unwrap_or_else(|| default.into())).collect()
    };
    let parents = [
        paths("XDG_CONFIG_HOME", home.join(".config")),
        paths("XDG_CONFIG_DIRS", "/etc/xdg".into()),
        vec!["/etc".into()],
        paths("XDG_DATA_HOME", home.join(".local/share")),
        paths("XDG_DATA_DIRS", "/usr/local/share:/usr/share".into()),
    ];
    parents.concat().into_iter().map(|parent| parent.join("vulkan/icd.d")).collect()
}

fn is_new(path: &Path, seen: &mut Vec<PathBuf>) -> bool {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let new = !seen.contains(&real);
    seen.push(real);
    new
}

/// Whether it is a manifest whose driver is there and for this machine.
fn is_usable(manifest: &Path) -> bool {
    let foreign = cfg!(target_pointer_width = "64")
        && ["i386", "i686"].iter().any(|architecture| file_name(manifest).contains(architecture));
    let library = std::fs::read_to_string(manifest).ok().and_then(|json| library_path(&json).map(PathBuf::from));
    let Some(library) = library.filter(|_| !foreign) else { return false };
    if library.components().count() == 1 && library.is_relative() {
        return libraries::find(&library.to_string_lossy()).is_some();
    }
    manifest.parent().is_some_and(|folder| folder.join(&library).is_file())
}

/// The value of `"library_path"`; manifests are too simple to need a JSON parser.
fn library_path(manifest: &str) -> Option<&str> {
    let (_, rest) = manifest.split_once("\"library_path\"")?;
    rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()
}

/// SwiftShader lies beside the browser's program, where the loader does not look.
fn swiftshader_of_a_browser() -> Option<PathBuf> {
    let usual = [
        "/usr/lib/chromium",
        "/usr/lib64/chromium",
        "/usr/lib/chromium-browser",
        "/usr/lib64/chromium-browser",
        "/opt/google/chrome",
        "/opt/chromium.org/chromium",
        "/snap/chromium/current/usr/lib/chromium-browser",
    ];
    let packaged = output_of(&mut command("dpkg", &["-L", "chromium"])).unwrap_or_default();
    let packaged = packaged.lines().map(PathBuf::from).filter(|path| file_name(path) == SWIFTSHADER);
    let mut candidates = packaged.chain(usual.map(|folder| Path::new(folder).join(SWIFTSHADER)));
    candidates.find(|path| is_usable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_a_manifest_is_found() {
        let compact = r#"{"ICD":{"api_version":"1.1.0","library_path":"./libvk_swiftshader.so"}}"#;
        assert_eq!(library_path(compact), Some("./libvk_swiftshader.so"));
        let spaced = "{\n \"ICD\": {\n  \"library_path\" : \"libvulkan_lvp.so\"\n }\n}";
        assert_eq!(library_path(spaced), Some("libvulkan_lvp.so"));
        assert_eq!(library_path("{}"), None);
    }

    #[test]
    fn a_manifest_without_its_library_does_not_count() {
        let folder = std::env::temp_dir().join(format!("xtask-vulkan-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let manifest = folder.join("a_icd.json");
        std::fs::write(&manifest, r#"{"ICD": {"library_path": "./liba.so"}}"#).unwrap();
        assert!(!is_usable(&manifest));
        std::fs::write(folder.join("liba.so"), "").unwrap();
        assert!(is_usable(&manifest));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
