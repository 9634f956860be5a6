//! What the service worker keeps for use without a network: a script that it imports.

use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::site;

/// Writes `precache.js` beside the files that it names.
pub fn write(site: &Path) -> Result<()> {
    let files: Vec<String> = site::files(site)?.into_iter().filter(|file| is_kept(file)).collect();
    let script = script(&version(site, &files)?, &files);
    let path = site.join("precache.js");
    std::fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))
}

/// Not what only people read, nor models that the page has no use for: it folds by itself.
fn is_kept(file: &str) -> bool {
    let for_people = [".md", ".d.ts"].iter().any(|end| file.ends_with(end)) || file.contains("LICENSE");
    !for_people && !file.starts_with("examples/") && !file.ends_with("-folded.safetensors")
}

/// A name for just these files with just these contents.
fn version(site: &Path, files: &[String]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let bytes = std::fs::read(site.join(file)).with_context(|| format!("cannot read {file}"))?;
        // With both lengths there is one way to read the sequence.
        for part in [file.as_bytes(), &bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// The folder's own address is that of its index.
fn script(version: &str, files: &[String]) -> String {
    let addresses: Vec<&str> = std::iter::once("./").chain(files.iter().map(String::as_str)).collect();
    format!("self.VERSION = {};\nself.FILES = {};\n", serde_json::json!(version), serde_json::json!(addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_s_files_are_not_kept() {
        let kept: Vec<_> =
            ["index.html", "models/a.safetensors", "doconv.js"].into_iter().filter(|f| is_kept(f)).collect();
        assert_eq!(kept, ["index.html", "models/a.safetensors", "doconv.js"]);
        for file in ["doconv.d.ts", "models/README.md", "LICENSE-MIT", "examples/a.html", "models/a-folded.safetensors"]
        {
            assert!(!is_kept(file), "{file}");
        }
    }

    #[test]
    fn the_version_is_of_names_and_contents() {
        let folder = std::env::temp_dir().join(format!("xtask-precache-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let version_of = |name: &str, content: &str| {
            std::fs::write(folder.join(name), content).unwrap();
            version(&folder, &[name.to_string()]).unwrap()
        };
        let first = version_of("ab", "c");
        assert_eq!(version_of("ab", "c"), first);
        assert_ne!(version_of("ab", "d"), first);
        assert_ne!(version_of("a", "bc"), first);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn addresses_are_quoted() {
        let script = script("12ab", &["a\"b.js".into()]);
        assert_eq!(script, "self.VERSION = \"12ab\";\nself.FILES = [\"./\",\"a\\\"b.js\"];\n");
    }
}
