//! Writes a file completely or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes `bytes` to `path`: to a temporary file beside it, which is then renamed, so that nobody ever sees a part.
///
/// An existing file is replaced and keeps its permissions; a link is followed. If anything fails, it is left as it was and the temporary file is removed.
///
/// # Errors
/// [`Error::Io`] naming `path`, also where it is a folder, a device or a pipe.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let io = |source| Error::io(path, source);
    let existing = fs::metadata(path).ok();
    match &existing {
        // Renaming onto a folder fails too, but only after all the writing and with a message that says less.
        Some(existing) if existing.is_dir() => {
            return Err(io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
        }
        // Renaming would put a file in the place of a device or a pipe.
        Some(existing) if !existing.is_file() => {
            return Err(io(std::io::Error::other("exists and is no regular file")));
        }
        _ => {}
    }
    // Behind a link it is the file that is replaced, not the link.
    let target = if existing.is_some() { fs::canonicalize(path).map_err(io)? } else { path.into() };
    let temporary = temporary_beside(&target).map_err(io)?;
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&temporary).and_then(|mut file| {
        if let Some(existing) = existing {
            file.set_permissions(existing.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, &target)).map_err(|source| {
        // The first error is the one to report; there may be nothing to remove.
        let _ = fs::remove_file(&temporary);
        io(source)
    })
}

/// A name in the same folder that two processes, or two writers in one, do not share.
fn temporary_beside(path: &Path) -> std::io::Result<PathBuf> {
    static COUNTER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let name = path.file_name().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidFilename))?;
    let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{count}.tmp", process_id()));
    Ok(path.with_file_name(temporary))
}

/// The process's id; the web has none, and no files either.
fn process_id() -> u32 {
    if cfg!(target_arch = "wasm32") { 0 } else { std::process::id() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("doconv-write-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("out.bin");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let into_folder = write_file(&folder, b"three").unwrap_err().to_string();
        assert!(into_folder.contains("is a directory"), "{into_folder}");
        let nowhere = write_file(folder.join("missing").join("out.bin"), b"four").unwrap_err().to_string();
        assert!(nowhere.contains("out.bin") && nowhere.contains("No such file"), "{nowhere}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn follows_links_keeps_permissions_and_spares_devices() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("doconv-write-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();

        let socket = std::env::temp_dir().join(format!("doconv-write-socket-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(write_file(&socket, b"new").unwrap_err().to_string().contains("no regular file"));
        drop(listener);
        fs::remove_file(&socket).unwrap();
    }
}
