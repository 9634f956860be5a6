//! Folders of images: what lies in them, and of which class it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{Encoded, Item, Kind, Source};
use crate::{Error, Result};

/// How deep folders are looked into: links may make many ways of few folders.
const DEPTH: usize = 8;
/// What folders with images to learn from, and with others, are called.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];
/// Files that lie among images without being any, on one system or another.
const IGNORED: [&str; 3] = ["thumbs.db", "desktop.ini", "readme.md"];

/// A file with the folders that it lies in.
pub(super) struct Found {
    pub(super) parts: Vec<String>,
    pub(super) image: Encoded,
}

impl Found {
    /// The mark of a folder without anything in it: an empty class is one, too.
    pub(super) fn empty(folder: &[String]) -> Self {
        Self { parts: [folder, &[String::new()]].concat(), image: Encoded::File(PathBuf::new()) }
    }

    fn is_mark(&self) -> bool {
        self.parts.last().is_some_and(String::is_empty)
    }
}

pub(super) fn find(path: &Path) -> Result<Source> {
    let mut walk = Walk::default();
    walk.folder(path)?;
    let mut source = sort(path, Kind::Folder, walk.found);
    if walk.special > 0 {
        source.notes.push(format!("{} entries are no regular files (pipes, devices) and are left out", walk.special));
    }
    if walk.deep > 0 {
        source.notes.push(format!("{} folders lie deeper than {DEPTH} levels and are left out", walk.deep));
    }
    if walk.loops > 0 {
        source.notes.push(format!("{} links lead back to a folder that they are in and are left out", walk.loops));
    }
    Ok(source)
}

/// On the way through folders.
#[derive(Default)]
struct Walk {
    /// The names of the folders that lead here.
    parts: Vec<String>,
    /// The same as paths without links.
    above: Vec<PathBuf>,
    found: Vec<Found>,
    /// What would never end to be read.
    special: usize,
    loops: usize,
    /// Folders that lie too deep.
    deep: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let io = |source| Error::io(folder, source);
        let real = std::fs::canonicalize(folder).map_err(io)?;
        if self.above.contains(&real) {
            self.loops += 1;
            return Ok(());
        }
        self.above.push(real);
        let mut is_empty = true;
        for entry in std::fs::read_dir(folder).map_err(io)? {
            is_empty = false;
            let path = entry.map_err(io)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_ignored(&name) {
                continue;
            }
            self.parts.push(name);
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && self.parts.len() < DEPTH => self.folder(&path)?,
                Ok(metadata) if metadata.is_dir() => self.deep += 1,
                Ok(metadata) if !metadata.is_file() => self.special += 1,
                // Where a link leads nowhere, decoding will say so.
                _ => self.found.push(Found { parts: self.parts.clone(), image: Encoded::File(path) }),
            }
            self.parts.pop();
        }
        if is_empty && !self.parts.is_empty() {
            self.found.push(Found::empty(&self.parts));
        }
        self.above.pop();
        Ok(())
    }
}

pub(super) fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("__MACOSX") || IGNORED.contains(&name.to_lowercase().as_str())
}

/// Where in the way to a file its class is said.
enum Layout {
    /// Behind the first folder called `train`, `test` or the like.
    Splits,
    /// Behind a folder at this place, from 0 on, which says what it is for with more words than that: `test_set`.
    SplitsAt(usize),
    /// At this place: the first where folders differ.
    Classes {
        place: usize,
        /// Whether the folders in those of the classes say what images are for.
        have_splits: bool,
    },
}

impl Layout {
    fn of(found: &[Found]) -> Self {
        let ways = || found.iter().filter_map(|found| Some(found.parts.split_last()?.1));
        // A class may be called `train`, too, but then no folders lie in that.
        let is_split = |way: &[String]| way.iter().rev().skip(1).any(|part| is_one_of(&TRAIN, part));
        if ways().any(is_split) {
            return Self::Splits;
        }
        let names = |place: usize| ways().filter_map(move |way| way.get(place)).collect::<BTreeSet<_>>();
        let are_splits = |place: usize| {
            let names = names(place);
            !names.is_empty() && names.iter().all(|name| says(&TRAIN, name) || says(&TEST, name))
        };
        let mut place = 0;
        while names(place).len() == 1 && !names(place + 1).is_empty() {
            place += 1;
        }
        // Nor are classes splits whose names only have such a word, like those of crash tests and train stations.
        let are_exact = || names(place).iter().all(|name| is_one_of(&TRAIN, name) || is_one_of(&TEST, name));
        let is_split = names(place).len() > 1 && are_splits(place) && (!names(place + 1).is_empty() || are_exact());
        match is_split {
            true => Self::SplitsAt(place),
            false => Self::Classes { place, have_splits: are_splits(place + 1) },
        }
    }

    /// Whether a file is to be learned from, and its class.
    fn place<'a>(&self, parts: &'a [String]) -> Option<(bool, &'a str)> {
        let (_, way) = parts.split_last()?;
        match *self {
            Self::Splits => {
                let split = way.iter().position(|part| is_one_of(&TRAIN, part) || is_one_of(&TEST, part))?;
                Some((is_one_of(&TRAIN, &way[split]), way.get(split + 1)?))
            }
            Self::SplitsAt(place) => Some((says(&TRAIN, way.get(place)?), way.get(place + 1)?)),
            Self::Classes { place, have_splits } => {
                let class = way.get(place)?;
                let is_test = || way.get(place + 1).is_some_and(|part| says(&TEST, part) && !says(&TRAIN, part));
                Some((!(have_splits && is_test()), class))
            }
        }
    }

    /// How many folders lie in those of the classes, and do not count.
    fn folders_within(&self, found: &[Found]) -> usize {
        let Self::Classes { place, have_splits: false } = *self else { return 0 };
        let within = found.iter().filter_map(|found| found.parts.split_last()?.1.get(..place + 2));
        within.collect::<BTreeSet<_>>().len()
    }
}

fn is_one_of(names: &[&str], part: &str) -> bool {
    names.iter().any(|name| part.eq_ignore_ascii_case(name))
}

/// Whether one of these is a word of a name, such as that of `seg_test` or `training set`.
fn says(names: &[&str], part: &str) -> bool {
    part.split(|letter: char| !letter.is_alphanumeric()).any(|word| is_one_of(names, word))
}

/// Images by class, in an order of which any part has all classes in proportion.
pub(super) fn sort(path: &Path, kind: Kind, mut found: Vec<Found>) -> Source {
    found.sort_by(|a, b| a.parts.cmp(&b.parts));
    let layout = Layout::of(&found);
    let within = layout.folders_within(&found);
    let mut by_class: [BTreeMap<String, Vec<Encoded>>; 2] = Default::default();
    let (mut classes, mut tests) = (BTreeSet::new(), BTreeSet::new());
    let mut outside = 0;
    for found in found {
        let Some((is_train, class)) = layout.place(&found.parts) else {
            outside += usize::from(!found.is_mark());
            continue;
        };
        if is_train {
            classes.insert(class.to_owned());
        }
        if !found.is_mark() {
            if !is_train {
                tests.extend(found.parts.iter().find(|part| says(&TEST, part)).cloned());
            }
            let class = class.to_owned();
            by_class[usize::from(!is_train)].entry(class).or_default().push(found.image);
        }
    }
    let [train, test] = by_class;
    let empty: Vec<&String> = classes.iter().filter(|class| !train.contains_key(*class)).collect();
    let mut notes = vec![];
    if !empty.is_empty() {
        let names: Vec<String> = empty.iter().map(|class| format!("`{class}`")).collect();
        notes.push(format!("{} have no images and are left out", names.join(", ")));
    }
    if within > 0 {
        notes.push(format!("{within} folders in those of the classes are no classes of their own"));
    }
    if tests.len() > 1 {
        let names: Vec<&str> = tests.iter().map(String::as_str).collect();
        notes.push(format!("the images in {} are taken together for validation", names.join(" and ")));
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

/// Images of all classes in turn: each where it would be if those of its class were spread evenly.
fn in_turn(classes: &[String], mut by_class: BTreeMap<String, Vec<Encoded>>) -> Vec<Item> {
    let mut placed = vec![];
    for (class, name) in classes.iter().enumerate() {
        let images = by_class.remove(name).unwrap_or_default();
        let count = images.len() as f64;
        placed.extend(images.into_iter().enumerate().map(|(index, image)| {
            let place = (index as f64 + 0.5) / count;
            (place, Item { class, image })
        }));
    }
    // Stable: at the same place in the order of the classes.
    placed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    placed.into_iter().map(|(_, item)| item).collect()
}
