//! Folders of images, and tar archives of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Encoded, Item, Kind, Source};
use crate::{Error, Result};

/// How deep folders are looked into.
const DEPTH: usize = 6;
/// What folders with images to learn from, and with others, are called.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 4] = ["test", "val", "valid", "validation"];
/// Files that lie among images without being any, on one system or another.
const IGNORED: [&str; 3] = ["thumbs.db", "desktop.ini", "readme.md"];

/// A file with the folders that it lies in.
struct Found {
    parts: Vec<String>,
    image: Encoded,
}

pub(super) fn find(path: &Path) -> Result<Source> {
    let mut found = vec![];
    walk(path, &mut vec![], &mut found)?;
    Ok(sort(path, Kind::Folder, found))
}

fn walk(folder: &Path, parts: &mut Vec<String>, found: &mut Vec<Found>) -> Result<()> {
    let io = |source| Error::Io { path: folder.into(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_ignored(&name) {
            continue;
        }
        parts.push(name);
        if path.is_dir() {
            if parts.len() < DEPTH {
                // An empty class is one, too.
                if parts.len() <= 2 && std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none()) {
                    found.push(Found {
                        parts: [&parts[..], &[String::new()]].concat(),
                        image: Encoded::File(PathBuf::new()),
                    });
                }
                walk(&path, parts, found)?;
            }
        } else {
            found.push(Found { parts: parts.clone(), image: Encoded::File(path) });
        }
        parts.pop();
    }
    Ok(())
}

fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("__MACOSX") || IGNORED.contains(&name.to_lowercase().as_str())
}

pub(super) fn find_tar(path: &Path) -> Result<Source> {
    let io = |source| Error::Io { path: path.into(), source };
    let broken = |error: std::io::Error| Error::Data {
        path: path.into(),
        reason: format!("no tar archive, or a broken one: {error}"),
    };
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(io)?);
    let is_gzipped = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
    let file: Box<dyn Read> = if is_gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut found = vec![];
    for entry in tar::Archive::new(file).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let parts: Vec<String> =
            name.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        // A name may be nothing but dots and slashes.
        if parts.is_empty() || parts.iter().any(|part| is_ignored(part)) {
            continue;
        }
        let mut bytes = vec![];
        entry.read_to_end(&mut bytes).map_err(broken)?;
        found.push(Found { parts, image: Encoded::Bytes(name, bytes) });
    }
    Ok(sort(path, Kind::Tar, found))
}

/// What is to be learned from, and the class, of a file: that of the folder behind `train`, or, where nothing is called so, of
/// the folder that it lies in.
fn place(parts: &[String], has_splits: bool) -> Option<(bool, &str)> {
    let (_, folders) = parts.split_last()?;
    if !has_splits {
        return folders.last().map(|class| (true, class.as_str()));
    }
    let split = folders.iter().position(|part| is_one_of(&TRAIN, part) || is_one_of(&TEST, part))?;
    Some((is_one_of(&TRAIN, &folders[split]), folders.get(split + 1)?))
}

fn is_one_of(names: &[&str], part: &str) -> bool {
    names.iter().any(|name| part.eq_ignore_ascii_case(name))
}

/// Images by class, and of every class one after the other, so that any part of the list has a bit of all.
fn sort(path: &Path, kind: Kind, mut found: Vec<Found>) -> Source {
    found.sort_by(|a, b| a.parts.cmp(&b.parts));
    let has_splits = found.iter().any(|found| {
        found.parts.split_last().is_some_and(|(_, folders)| folders.iter().any(|part| is_one_of(&TRAIN, part)))
    });
    let mut by_class: [BTreeMap<String, Vec<Encoded>>; 2] = Default::default();
    let mut classes = BTreeSet::new();
    let mut outside = 0;
    for Found { parts, image } in found {
        let Some((is_train, class)) = place(&parts, has_splits) else {
            outside += 1;
            continue;
        };
        if is_train {
            classes.insert(class.to_owned());
        }
        // The mark of an empty folder has no name.
        if parts.last().is_some_and(|name| !name.is_empty()) {
            by_class[usize::from(!is_train)].entry(class.to_owned()).or_default().push(image);
        }
    }
    let [train, test] = by_class;
    let empty: Vec<&String> = classes.iter().filter(|class| !train.contains_key(*class)).collect();
    let mut notes = vec![];
    if !empty.is_empty() {
        let names: Vec<String> = empty.iter().map(|class| format!("`{class}`")).collect();
        notes.push(format!("{} have no images and are left out", names.join(", ")));
    }
    if outside > 0 {
        notes.push(format!("{outside} files lie in no folder of a class and are left out"));
    }
    let classes: Vec<String> = train.keys().cloned().collect();
    let unknown: usize =
        test.iter().filter(|(class, _)| !classes.contains(class)).map(|(_, images)| images.len()).sum();
    if unknown > 0 {
        notes.push(format!("{unknown} test images are of classes that are not among those to learn and are left out"));
    }
    let mut source = Source::new(path, kind, classes);
    source.train = in_turn(&source.classes, train);
    source.test = in_turn(&source.classes, test);
    source.notes = notes;
    source
}

fn in_turn(classes: &[String], mut by_class: BTreeMap<String, Vec<Encoded>>) -> Vec<Item> {
    let mut lists: Vec<(usize, std::vec::IntoIter<Encoded>)> = vec![];
    for (class, name) in classes.iter().enumerate() {
        lists.extend(by_class.remove(name).map(|images| (class, images.into_iter())));
    }
    let mut items = vec![];
    while !lists.is_empty() {
        lists.retain_mut(|(class, images)| match images.next() {
            Some(image) => {
                items.push(Item { class: *class, image });
                true
            }
            None => false,
        });
    }
    items
}
