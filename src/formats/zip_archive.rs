//! Zip archives in memory: what `.npz` and PyTorch's files are.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::decompression_limit::DecompressionLimit;

pub(super) type Bytes<'a> = Cursor<&'a [u8]>;

/// Whether bytes begin like a zip archive, maybe an empty one.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

pub(super) fn open(bytes: &[u8]) -> Result<ZipArchive<Bytes<'_>>, String> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("a truncated or damaged zip archive: {error}"))
}

/// The names of all files, by index.
pub(super) fn names(archive: &ZipArchive<Bytes>) -> Result<Vec<String>, String> {
    let names = archive.file_names().map(|name| Ok(name.map_err(|error| error.to_string())?.into_owned()));
    names.collect()
}

/// Unpacks a file; what it really takes counts, whatever the archive claims.
pub(super) fn read(
    archive: &mut ZipArchive<Bytes>,
    index: usize,
    budget: &mut DecompressionLimit,
) -> Result<Vec<u8>, String> {
    let file = archive.by_index(index).map_err(|error| format!("a damaged zip archive: {error}"))?;
    let name = file.name().map_or_else(|_| format!("file {index}"), |name| name.to_string());
    let claimed = file.size();
    budget.take(&name, claimed)?;
    let mut bytes = Vec::new();
    let read = file.take(claimed.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 != claimed {
        return Err(format!("{name} unpacks to another size than the {claimed} bytes that the archive claims"));
    }
    Ok(bytes)
}
