//! CIFAR-10's binary files: records of a label and 3×32×32 values.

use std::path::Path;

use super::source::{Encoded, Item, Kind, Source};
use crate::{Error, Result};

const SHAPE: [usize; 3] = [3, 32, 32];
const RECORD: usize = 1 + 3 * 32 * 32;
/// Its files, and how many images each has.
const PARTS: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const RECORDS: usize = 10_000;
/// Those that come with the files are read; this is what they say.
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

pub(super) fn find(path: &Path) -> Result<Option<Source>> {
    let io = |source| Error::io(path, source);
    let mut files = vec![];
    for entry in std::fs::read_dir(path).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".bin") && (name.starts_with("data_batch") || name.starts_with("test_batch")) {
            files.push((name, path));
        }
    }
    if files.is_empty() {
        // The archive unpacks into a folder of its own.
        let inner = path.join("cifar-10-batches-bin");
        return if inner.is_dir() { find(&inner) } else { Ok(None) };
    }
    files.sort();
    let named = std::fs::read_to_string(path.join("batches.meta.txt")).unwrap_or_default();
    let named: Vec<String> = named.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let classes = if named.len() == CLASSES.len() { named } else { CLASSES.map(str::to_owned).into() };
    let mut source = Source::new(path, Kind::Cifar10, classes);
    let (mut out_of_range, mut others) = (0, vec![]);
    let missing: Vec<&str> = PARTS.into_iter().filter(|part| !files.iter().any(|(name, _)| name == part)).collect();
    if !missing.is_empty() {
        source.notes.push(format!("of CIFAR-10's files {} are not there", missing.join(", ")));
    }
    for (name, file) in files {
        let bytes = std::fs::read(&file).map_err(|source| Error::io(&file, source))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
            let reason = format!("{} bytes are no whole records of {RECORD}", bytes.len());
            return Err(Error::Data { path: file, reason });
        }
        let records = bytes.len() / RECORD;
        if PARTS.contains(&&*name) && records != RECORDS {
            others.push(format!("{name} has {records}"));
        }
        let items = if name.starts_with("data_batch") { &mut source.train } else { &mut source.test };
        for record in bytes.chunks_exact(RECORD) {
            match usize::from(record[0]) {
                class if class < CLASSES.len() => {
                    items.push(Item { class, image: Encoded::Raw(SHAPE, record[1..].to_vec()) });
                }
                _ => out_of_range += 1,
            }
        }
    }
    if !others.is_empty() {
        source.notes.push(format!("CIFAR-10's files have {RECORDS} images each, but {}", others.join(", ")));
    }
    if out_of_range > 0 {
        source.notes.push(format!("{out_of_range} images have labels beyond the 10 classes and are left out"));
    }
    Ok(Some(source))
}
