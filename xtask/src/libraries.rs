//! Where the dynamic linker finds a shared library.

use std::path::{Path, PathBuf};

use crate::step::{command, output_of};

/// The file of a library such as `libvulkan.so.1`, as far as can be told without loading it.
pub fn find(name: &str) -> Option<PathBuf> {
    in_search_path(name).or_else(|| in_cache(name)).or_else(|| in_usual_folders(name))
}

fn in_search_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("LD_LIBRARY_PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// `ldconfig` lies outside the PATH of ordinary users on Debian.
fn in_cache(name: &str) -> Option<PathBuf> {
    let programs = ["ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"];
    let cache = programs.iter().find_map(|program| output_of(&mut command(program, &["-p"])))?;
    cache.lines().find_map(|line| cached(line, name))
}

/// Reads a line such as `libvulkan.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libvulkan.so.1`.
fn cached(line: &str, name: &str) -> Option<PathBuf> {
    let (library, path) = line.split_once("=>")?;
    let (library, kind) = library.trim().split_once(' ')?;
    let wrong_width = cfg!(target_pointer_width = "64") && kind == "(libc6)";
    let path = Path::new(path.trim());
    (library == name && !wrong_width && path.is_file()).then(|| path.to_path_buf())
}

/// `/usr/lib`, and the folder per architecture below it.
fn in_usual_folders(name: &str) -> Option<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let parents = ["/usr/lib64", "/usr/lib", "/lib64", "/lib", "/usr/local/lib"].map(Path::new);
    let folders = parents.iter().flat_map(|folder| [folder.to_path_buf(), folder.join(&triplet)]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_cache_are_read() {
        let file = std::env::current_exe().unwrap();
        let line = format!("\tlibvulkan.so.1 (libc6,x86-64) => {}", file.display());
        assert_eq!(cached(&line, "libvulkan.so.1"), Some(file));
        assert_eq!(cached(&line, "libvulkan.so"), None);
        assert_eq!(cached("\tlibvulkan.so.1 (libc6,x86-64) => /no/such/file", "libvulkan.so.1"), None);
        assert_eq!(cached("1042 libs found in cache `/etc/ld.so.cache'", "libvulkan.so.1"), None);
    }
}
