//! MNIST's files, also of Fashion-MNIST and others like it: <http://yann.lecun.com/exdb/mnist/>, gzipped or not.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::source::{Encoded, Item, Kind, Source};
use crate::{Error, Result};

/// Numbers of so many axes: an IDX file of bytes.
struct Array {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

pub(super) fn find(path: &Path) -> Result<Option<Source>> {
    let Some(train) = pair(path, "train")? else { return Ok(None) };
    let (mut test, mut unlabelled) = (None, None);
    for part in ["t10k", "test"] {
        if test.is_none() {
            test = pair(path, part)?;
            unlabelled = unlabelled.or(named(path, part, "images")?);
        }
    }
    let (labels, stray) = classes(&train);
    let mut source = Source::new(path, Kind::Idx, labels.iter().map(usize::to_string).collect());
    // From the file's labels to places among those that occur.
    let known = |items: Vec<Item>| -> Vec<Item> {
        let place = |item: Item| Some(Item { class: labels.binary_search(&item.class).ok()?, ..item });
        items.into_iter().filter_map(place).collect()
    };
    let count = train.len();
    source.train = known(train);
    if let Some(stray) = stray {
        source.notes.push(format!(
            "{} images have labels that are out of range, such as {stray} behind {}, and are left out",
            count - source.train.len(),
            labels.last().copied().unwrap_or_default()
        ));
    }
    source.notes.extend(rare(&labels, &source.train));
    if let (None, Some(images)) = (&test, unlabelled) {
        let name = images.file_name().unwrap_or_default().display();
        source.notes.push(format!("{name} has no file of labels beside it and is left out"));
    }
    let test = test.unwrap_or_default();
    let count = test.len();
    source.test = known(test);
    if source.test.len() < count {
        source.notes.push(format!(
            "{} test images have labels beyond the {} classes to learn and are left out",
            count - source.test.len(),
            labels.len()
        ));
    }
    Ok(Some(source))
}

/// The labels that are classes, in order, and the first that is none, if any. Not every number has to occur; but what lies behind
/// a gap that is wider than all before it, and is of one image in a hundred or fewer, is taken for damage.
fn classes(items: &[Item]) -> (Vec<usize>, Option<usize>) {
    let mut labels: Vec<usize> = items.iter().map(|item| item.class).collect();
    labels.sort_unstable();
    labels.dedup();
    let is_rare = |from: usize| items.iter().filter(|item| item.class >= from).count() * 100 <= items.len();
    let is_stray = |&at: &usize| labels[at] - labels[at - 1] > labels[at - 1] + 1 && is_rare(labels[at]);
    // Two classes there have to be.
    let Some(end) = (2..labels.len()).find(is_stray) else { return (labels, None) };
    let stray = labels[end];
    labels.truncate(end);
    (labels, Some(stray))
}

/// Says which labels, of those that are classes, have hardly any images: they may be damaged.
fn rare(labels: &[usize], items: &[Item]) -> Option<String> {
    /// How many times as many others have.
    const RATIO: usize = 20;
    let mut counts = vec![0; labels.len()];
    items.iter().for_each(|item| counts[item.class] += 1);
    let is_rare = |count: usize| count * RATIO * labels.len() <= items.len();
    let rare = labels.iter().zip(counts).filter(|&(_, count)| is_rare(count));
    let rare: Vec<String> = rare.map(|(label, count)| format!("{label} ({count})")).collect();
    (!rare.is_empty()).then(|| format!("labels with hardly any images, if not damaged: {}", rare.join(", ")))
}

/// The images and labels of a part, if it is there.
fn pair(folder: &Path, part: &str) -> Result<Option<Vec<Item>>> {
    let [images, labels] = ["images", "labels"].map(|what| named(folder, part, what));
    let fail = |path: &Path, reason: String| Err(Error::Data { path: path.into(), reason });
    let (images, labels) = match (images?, labels?) {
        (Some(images), Some(labels)) => (images, labels),
        (Some(images), None) if part == "train" => {
            return fail(&images, format!("beside it there is no file of labels, such as {part}-labels-idx1-ubyte"));
        }
        _ => return Ok(None),
    };
    let (pixels, classes) = (read(&images)?, read(&labels)?);
    let [count, height, width] = pixels.shape[..] else {
        return fail(&images, format!("images have 3 axes, these have {}", pixels.shape.len()));
    };
    if classes.shape != [count] {
        return fail(&labels, format!("{:?} labels for {count} images", classes.shape));
    }
    if count == 0 || height == 0 || width == 0 {
        return fail(&images, format!("there is nothing in {:?}", pixels.shape));
    }
    let images = pixels.bytes.chunks_exact(height * width).zip(classes.bytes);
    let item = |(pixels, class): (&[u8], u8)| Item {
        class: class.into(),
        image: Encoded::Raw([1, height, width], pixels.to_vec()),
    };
    Ok(Some(images.map(item).collect()))
}

/// The file of a part, whatever else is in its name.
fn named(folder: &Path, part: &str, what: &str) -> Result<Option<PathBuf>> {
    let io = |source| Error::io(folder, source);
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if name.starts_with(part) && name.contains(what) && name.contains("idx") {
            found.push(path);
        }
    }
    // What is unpacked comes before what is packed.
    found.sort();
    Ok(found.into_iter().next())
}

fn read(path: &Path) -> Result<Array> {
    let io = |source| Error::io(path, source);
    let fail = |reason: String| Err(Error::Data { path: path.into(), reason });
    let mut bytes = std::fs::read(path).map_err(io)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = vec![];
        if let Err(error) = flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked) {
            return fail(format!("cannot be unpacked: {error}"));
        }
        bytes = unpacked;
    }
    let [0, 0, 8, axes, rest @ ..] = &bytes[..] else {
        return fail("no IDX file of bytes: it does not begin with 0, 0, 8".into());
    };
    let extents = rest.as_chunks::<4>().0;
    let axes = usize::from(*axes);
    if axes > 3 {
        return fail(format!("has {axes} axes; images have 3, labels have 1"));
    }
    if extents.len() < axes {
        return fail("ends in its header".into());
    }
    let shape: Vec<usize> = extents[..axes].iter().map(|&extent| u32::from_be_bytes(extent) as usize).collect();
    let values = bytes.len() - 4 - 4 * axes;
    if shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)) != Some(values) {
        return fail(format!("has {values} values, its header says {shape:?}"));
    }
    Ok(Array { shape, bytes: bytes.split_off(4 + 4 * axes) })
}
