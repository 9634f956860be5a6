//! Data sets of every kind, whole and broken, and training runs on them.
#![cfg(feature = "datasets")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doconv::formats::{read_tensors, write_tensors};
use doconv::network::{Activation, Conv2d, FORMAT_VERSION, Input, Linear, Node, Op};
use doconv::training::data::{Augment, DataSet, Shaping, Source};
use doconv::training::{Advance, Checkpoint, Epoch, Options, Settings, TrainingLoop, with_classes};
use doconv::{Adapter, Model, Network, Result, Selector};
use flate2::{Compression, write::GzEncoder};
use image::{Rgb, RgbImage};
use pollster::block_on;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A picture of one colour with a bit of noise.
fn picture(path: &Path, [width, height]: [u32; 2], [r, g, b]: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let noise = |x: u32, y: u32| (7 * x + 13 * y + width) as u8 % 32;
    RgbImage::from_fn(width, height, |x, y| Rgb([r, g, b].map(|level| level.saturating_add(noise(x, y)))))
        .save(path)
        .unwrap();
}

const COLOURS: [(&str, [u8; 3]); 3] = [("blue", [10, 20, 200]), ("green", [10, 200, 30]), ("red", [200, 20, 10])];

/// Twelve pictures of each of three colours to learn from, two to test with.
fn coloured(root: &Path) {
    for (class, colour) in COLOURS {
        for index in 0..14 {
            let split = if index < 12 { "train" } else { "test" };
            picture(&root.join(split).join(class).join(format!("{index:02}.png")), [16 + index, 16], colour);
        }
    }
}

fn shaping(channels: usize, size: usize) -> Shaping {
    Shaping::new([channels, size, size], None).unwrap()
}

fn load(path: &Path, shaping: &Shaping, hold_back: Option<usize>) -> Result<DataSet> {
    Source::find(path)?.load(shaping, hold_back, || {})
}

fn error(path: &Path) -> String {
    load(path, &shaping(3, 8), None).expect_err("it is broken").to_string()
}

#[test]
fn folders_and_archives_are_the_same() {
    let folder = folder();
    let root = folder.path().join("set");
    coloured(&root);
    let data = load(&root, &shaping(3, 8), None).unwrap();
    assert_eq!(data.classes, ["blue", "green", "red"]);
    assert_eq!((data.train.labels.len(), data.validation.labels.len(), data.shape), (36, 6, [3, 8, 8]));
    assert_eq!(data.train.labels[..6], [0, 1, 2, 0, 1, 2]);
    assert_eq!(data.notes, [""; 0]);
    // Blue, of the first picture.
    let mean = |channel: usize| data.train.pixels[64 * channel..][..64].iter().map(|&v| u32::from(v)).sum::<u32>() / 64;
    assert!(mean(2) > 190 && mean(0) < 40, "{} {}", mean(0), mean(2));

    for (name, prefix) in [("plain.tar", ""), ("nested.tar", "photos/of/mine")] {
        let path = folder.path().join(name);
        let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
        archive.append_dir_all(if prefix.is_empty() { "." } else { prefix }, &root).unwrap();
        archive.finish().unwrap();
        assert_eq!(load(&path, &shaping(3, 8), None).unwrap(), data);
        let gzipped = path.with_extension("tar.gz");
        let mut encoder = GzEncoder::new(fs::File::create(&gzipped).unwrap(), Compression::fast());
        encoder.write_all(&fs::read(&path).unwrap()).unwrap();
        encoder.finish().unwrap();
        assert_eq!(load(&gzipped, &shaping(3, 8), None).unwrap(), data);
    }
    let held = load(&root, &shaping(3, 8), Some(5)).unwrap();
    assert_eq!((held.train.labels.len(), held.validation.labels.len()), (31, 5));
    assert_eq!(held.validation.labels, [1, 2, 0, 1, 2]);
    assert!(
        load(&root, &shaping(3, 8), Some(36)).unwrap_err().to_string().contains("36 images cannot be held back of 36")
    );

    // Without test images a tenth is held back, of all classes alike.
    fs::remove_dir_all(root.join("test")).unwrap();
    let data = load(&root, &shaping(1, 8), None).unwrap();
    assert_eq!((data.train.labels.len(), data.validation.labels.len(), data.shape), (33, 3, [1, 8, 8]));
    assert_eq!(data.validation.labels, [0, 1, 2]);
    assert!(data.notes[0].contains("no test images") && data.notes[0].contains('3'), "{:?}", data.notes);

    // Nor need the folders be in one that is called so.
    let data = load(&root.join("train"), &shaping(1, 8), None).unwrap();
    assert_eq!(data.classes, ["blue", "green", "red"]);
}

#[test]
fn what_is_broken_in_folders_is_named_or_left_out() {
    let folder = folder();
    let root = folder.path();
    coloured(root);
    fs::write(root.join("train/red/broken.jpg"), b"no image").unwrap();
    fs::write(root.join("train/red/empty.png"), b"").unwrap();
    fs::write(root.join("train/stray.txt"), b"?").unwrap();
    fs::write(root.join("train/red/.hidden"), b"?").unwrap();
    fs::create_dir(root.join("train/yellow")).unwrap();
    picture(&root.join("test/purple/1.png"), [8, 8], [100, 0, 100]);
    let data = load(root, &shaping(3, 8), None).unwrap();
    assert_eq!((data.classes.len(), data.train.labels.len(), data.validation.labels.len()), (3, 36, 6));
    let notes = data.notes.join("\n");
    for part in [
        "2 images cannot be read",
        "`yellow` have no images",
        "1 files lie in no folder",
        "1 test images are of classes",
    ] {
        assert!(notes.contains(part), "`{part}` is not in {notes}");
    }

    // A class of which nothing is left, one class, nothing at all, no archive, no path.
    for entry in fs::read_dir(root.join("train/blue")).unwrap() {
        fs::write(entry.unwrap().path(), b"gone").unwrap();
    }
    let reason = error(root);
    assert!(reason.contains("class `blue` has no image left"), "{reason}");
    assert!(reason.contains("14 images cannot be read") && reason.contains("blue"), "why: {reason}");
    fs::remove_dir_all(root.join("train/blue")).unwrap();
    fs::remove_dir_all(root.join("train/green")).unwrap();
    let reason = error(root);
    assert!(reason.contains("one class, `red`") && reason.contains("two or more"), "{reason}");
    fs::remove_dir_all(root.join("train")).unwrap();
    fs::remove_dir_all(root.join("test")).unwrap();
    let reason = error(root);
    assert!(reason.contains("no data set is recognised"), "{reason}");
    fs::write(root.join("x.tar"), [7u8; 2000]).unwrap();
    let reason = error(&root.join("x.tar"));
    assert!(reason.contains("x.tar") && reason.contains("nor a tar archive"), "{reason}");
    // Names that lead nowhere.
    let mut archive = tar::Builder::new(fs::File::create(root.join("dots.tar")).unwrap());
    for name in [".", "./"] {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(3);
        header.set_cksum();
        archive.append(&header, &b"abc"[..]).unwrap();
    }
    archive.finish().unwrap();
    let reason = error(&root.join("dots.tar"));
    assert!(reason.contains("no data set is recognised"), "{reason}");
    let reason = error(&root.join("missing"));
    assert!(reason.contains("missing") && reason.contains("No such file"), "{reason}");
}

/// Which folders are classes, wherever they lie.
#[test]
fn classes_are_the_folders_that_differ() {
    type Layout<'a> = (&'a [&'a str], &'a [&'a str], [usize; 2], &'a str);
    let layouts: [Layout<'_>; 9] = [
        (&["cat/2020/1.png", "cat/2021/1.png", "dog/2020/1.png", "dog/2.png"], &["cat", "dog"], [4, 0], ""),
        (
            &["all/animals/cat/1.png", "all/animals/dog/1.png", "all/x.png"],
            &["cat", "dog"],
            [2, 0],
            "1 files lie in no",
        ),
        (&["bus/1.png", "car/1.png", "train/1.png"], &["bus", "car", "train"], [3, 0], ""),
        (&["train/bus/1.png", "train/train/1.png", "val/train/1.png"], &["bus", "train"], [2, 1], ""),
        (&["cat/train/1.png", "cat/test/1.png", "dog/train/1.png"], &["cat", "dog"], [2, 1], ""),
        (&["set/training_set/a/1.png", "set/training_set/b/1.png", "set/test-set/a/1.png"], &["a", "b"], [2, 1], ""),
        (&["training/a/1.png", "training/b/1.png", "testing/b/1.png"], &["a", "b"], [2, 1], ""),
        (&["crash test/1.png", "train station/1.png"], &["crash test", "train station"], [2, 0], ""),
        (&["a/1.png", "b/1.png", "b/c/d/e/f/g/h/i/j/1.png"], &["a", "b"], [2, 0], "1 folders lie deeper than 8 levels"),
    ];
    let here = |paths: &[&str]| {
        let folder = folder();
        paths.iter().for_each(|path| picture(&folder.path().join(path), [8, 8], [9, 9, 9]));
        folder
    };
    for (paths, classes, counts, note) in layouts {
        let folder = here(paths);
        let source = Source::find(folder.path()).unwrap();
        assert_eq!(source.classes(), classes, "{paths:?}");
        assert_eq!(source.images(), counts, "{paths:?}");
        assert!(source.notes().join("; ").contains(note), "{:?}", source.notes());
    }
    let source = Source::find(here(&["a/valid/1.png", "b/valid/1.png", "b/invalid/1.png"]).path()).unwrap();
    assert_eq!((source.classes(), source.images()), (&["a".to_owned(), "b".into()][..], [3, 0]));
    assert!(source.notes()[0].contains("3 folders in those of the classes are no classes"), "{:?}", source.notes());
    // Without classes, and with nothing to learn from.
    for paths in [&["train/1.png", "val/1.png"][..], &["val/a/1.png", "val/b/1.png", "test/a/1.png"]] {
        let reason = error(here(paths).path());
        assert!(reason.contains("no data set is recognised"), "{reason}");
    }
    let folder = here(&["all/of/them/train/cat/1.png"]);
    fs::create_dir_all(folder.path().join("all/of/them/train/dog")).unwrap();
    let reason = error(folder.path());
    assert!(reason.contains("one class, `cat`") && reason.contains("`dog` have no images"), "{reason}");
}

/// An IDX file of bytes.
fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let extents = shape.iter().flat_map(|extent| extent.to_be_bytes());
    [0, 0, 8, shape.len() as u8].into_iter().chain(extents).chain(bytes.iter().copied()).collect()
}

#[test]
fn idx_files_are_read_and_checked() {
    use std::io::Write;
    let folder = folder();
    let root = folder.path();
    let pixels: Vec<u8> = (0..6 * 4 * 4).collect();
    fs::write(root.join("train-images-idx3-ubyte"), idx(&[6, 4, 4], &pixels)).unwrap();
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(&idx(&[6], &[0, 1, 2, 0, 1, 2])).unwrap();
    fs::write(root.join("train-labels-idx1-ubyte.gz"), packed.finish().unwrap()).unwrap();
    fs::write(root.join("t10k-images-idx3-ubyte"), idx(&[2, 4, 4], &pixels[..32])).unwrap();
    fs::write(root.join("t10k-labels-idx1-ubyte"), idx(&[2], &[1, 9])).unwrap();
    assert_eq!(Source::find(root).unwrap().size(), Some([4, 4]));
    let data = load(root, &shaping(1, 4), None).unwrap();
    assert_eq!(data.classes, ["0", "1", "2"]);
    assert_eq!((data.train.pixels.as_slice(), data.train.labels.as_slice()), (&pixels[..], &[0, 1, 2, 0, 1, 2][..]));
    assert_eq!(data.validation.labels, [1]);
    assert!(data.notes[0].contains("1 test images have labels beyond the 3 classes"), "{:?}", data.notes);
    // Grey in three channels, and at another size.
    let data = load(root, &shaping(3, 4), None).unwrap();
    assert_eq!(data.train.pixels[..16], data.train.pixels[32..48]);
    assert_eq!(load(root, &shaping(1, 8), None).unwrap().train.pixels.len(), 6 * 64);

    let broken = |name: &str, bytes: Vec<u8>, parts: &[&str]| {
        let path = root.join(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let reason = error(root);
        assert!(parts.iter().all(|part| reason.contains(part)) && reason.contains(name), "{reason}");
        fs::write(&path, before).unwrap();
    };
    broken("train-images-idx3-ubyte", idx(&[7, 4, 4], &pixels), &["has 96 values", "[7, 4, 4]"]);
    broken("train-images-idx3-ubyte", vec![0, 0, 8, 3, 1], &["header"]);
    broken("train-images-idx3-ubyte", b"PNG?".to_vec(), &["no IDX file"]);
    broken("train-images-idx3-ubyte", idx(&[6, 16], &pixels), &["3 axes"]);
    broken("t10k-labels-idx1-ubyte", idx(&[3], &[0, 1, 2]), &["[3] labels for 2 images"]);
    broken("train-labels-idx1-ubyte.gz", vec![0x1f, 0x8b, 8, 0, 1, 2], &["unpacked"]);
    broken("train-images-idx3-ubyte", idx(&[u32::MAX, u32::MAX, u32::MAX], &[]), &["has 0 values"]);
    broken("train-images-idx3-ubyte", [vec![0, 0, 8, 255], vec![1; 2000]].concat(), &["255 axes", "images have 3"]);
}

/// Labels need not be numbered without gaps, but those far from all others are no classes.
#[test]
fn labels_that_are_out_of_range_are_left_out() {
    let folder = folder();
    let root = folder.path();
    let pixels: Vec<u8> = (0..120 * 16).map(|at| (at / 16) as u8).collect();
    let with_labels = |labels: &[u8]| {
        let labels: Vec<u8> = labels.iter().copied().cycle().take(120).collect();
        fs::write(root.join("train-images-idx3-ubyte"), idx(&[120, 4, 4], &pixels)).unwrap();
        fs::write(root.join("train-labels-idx1-ubyte"), idx(&[120], &labels)).unwrap();
        load(root, &shaping(1, 4), Some(2)).map_err(|error| error.to_string())
    };
    for (usual, classes) in [(&[0, 1, 2][..], 3), (&[0, 2, 3, 4], 4), (&[1, 2], 2)] {
        let mut labels: Vec<u8> = usual.iter().copied().cycle().take(120).collect();
        labels[2] = 200;
        let data = with_labels(&labels).unwrap();
        assert_eq!((data.classes.len(), data.train.labels.len()), (classes, 117));
        assert_eq!(data.train.pixels[32..48], [3; 16], "an image keeps its label");
        assert_eq!(data.classes[data.train.labels[2]], labels[3].to_string());
        assert!(data.notes[0].contains("1 images have labels that are out of range, such as 200"), "{:?}", data.notes);
    }
    for labels in [&[1, 2, 4][..], &[0, 1, 7, 8, 9], &[0, 255], &[0, 1, 8]] {
        let data = with_labels(labels).unwrap();
        let names: Vec<String> = labels.iter().map(u8::to_string).collect();
        assert_eq!((data.classes, data.notes), (names, vec![]), "some digits, a mask");
        assert_eq!(data.train.labels[..labels.len()], (0..labels.len()).collect::<Vec<_>>());
    }
    // Just behind the others: a class perhaps, perhaps damage.
    let mut labels: Vec<u8> = [0, 1].into_iter().cycle().take(120).collect();
    labels[7] = 2;
    let notes = with_labels(&labels).unwrap().notes.join("; ");
    assert!(notes.contains("hardly any images, if not damaged: 2 (1)"), "{notes}");
    fs::write(root.join("test-images-idx3-ubyte"), idx(&[1, 4, 4], &[0; 16])).unwrap();
    let data = with_labels(&[0, 1]).expect("test images without labels do no harm");
    assert!(data.notes[0].contains("test-images-idx3-ubyte has no file of labels beside it"), "{:?}", data.notes);
    let reason = with_labels(&[5; 8]).unwrap_err();
    assert!(reason.contains("one class, `5`"), "{reason}");
    fs::remove_file(root.join("train-labels-idx1-ubyte")).unwrap();
    let reason = error(root);
    assert!(reason.contains("train-images-idx3-ubyte") && reason.contains("no file of labels"), "{reason}");
}

/// However many images a class has, those that are held back are of all in proportion.
#[test]
fn what_is_held_back_is_of_all_classes() {
    let folder = folder();
    for (class, count) in [("few", 12), ("many", 100), ("some", 20)] {
        for index in 0..count {
            picture(&folder.path().join(class).join(format!("{index:03}.png")), [8, 8], [9, 2 * index as u8, 90]);
        }
    }
    for (hold_back, expected) in [(None, [1, 10, 2]), (Some(40), [3, 30, 6]), (Some(66), [6, 50, 10])] {
        let data = load(folder.path(), &shaping(3, 8), hold_back).unwrap();
        let count = |class: usize| data.validation.labels.iter().filter(|&&label| label == class).count();
        let counts = [0, 1, 2].map(count);
        assert!(counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(expected) <= 1), "{counts:?}");
        assert_eq!(data.train.labels.len() + data.validation.labels.len(), 132);
    }
}

/// What is no file, or leads back, or is missing in an archive.
#[cfg(unix)]
#[test]
fn what_is_no_image_file_is_counted() {
    let folder = folder();
    let root = folder.path().join("set");
    coloured(&root);
    let whole = load(&root, &shaping(3, 8), None).unwrap();
    std::os::unix::fs::symlink("..", root.join("train/red/loop")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(root.join("train/red/pipe.png")).status().unwrap();
    assert!(status.success());
    let data = load(&root, &shaping(3, 8), None).unwrap();
    assert_eq!((&data.train, &data.validation), (&whole.train, &whole.validation));
    let notes = data.notes.join("\n");
    assert!(notes.contains("1 entries are no regular files") && notes.contains("1 links lead back"), "{notes}");

    let path = folder.path().join("set.tar");
    let mut archive = tar::Builder::new(vec![]);
    for (name, class) in [("a.png", "red"), ("b.png", "green"), ("c.png", "red"), ("d.png", "green")] {
        let picture = fs::read(root.join("train").join(class).join("00.png")).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(picture.len() as u64);
        archive.append_data(&mut header, format!("{class}/{name}"), &picture[..]).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "red/link.png", "a.png").unwrap();
    archive.append_dir("yellow", &root).unwrap();
    let bytes = archive.into_inner().unwrap();
    let notes = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let data = load(&path, &shaping(3, 8), Some(1)).unwrap();
        assert_eq!((data.classes.len(), data.train.labels.len()), (2, 3));
        data.notes.join("\n")
    };
    let all = notes(&bytes);
    assert!(all.contains("1 links in the archive") && all.contains("`yellow` have no images"), "{all}");
    assert!(!all.contains("no end"), "{all}");
    let all = notes(&bytes[..bytes.len() - 1024]);
    assert!(all.contains("no end"), "{all}");
    fs::write(&path, &bytes[..700]).unwrap();
    let reason = error(&path);
    assert!(reason.contains("truncated"), "{reason}");
    // In a file or in a header, it is never called broken.
    let mut truncated = 0;
    for end in (513..bytes.len() - 1024).step_by(97) {
        fs::write(&path, &bytes[..end]).unwrap();
        if let Err(error) = Source::find(&path) {
            let reason = error.to_string();
            assert!(!reason.contains("broken"), "{end} of {} bytes: {reason}", bytes.len());
            truncated += usize::from(reason.contains("truncated"));
        }
    }
    assert!(truncated > 10, "{truncated}");
}

#[test]
fn cifar_binaries_are_read_and_checked() {
    let folder = folder();
    let root = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&root).unwrap();
    let record = |label: u8, level: u8| [vec![label], vec![level; 3072]].concat();
    let records = |labels: &[u8]| labels.iter().flat_map(|&label| record(label, 10 * label)).collect::<Vec<u8>>();
    fs::write(root.join("data_batch_1.bin"), records(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).unwrap();
    fs::write(root.join("test_batch.bin"), records(&[3])).unwrap();
    let data = load(folder.path(), &shaping(3, 32), None).unwrap();
    assert_eq!(
        (data.classes[3].as_str(), data.train.labels.len(), data.validation.labels.as_slice()),
        ("cat", 10, &[3][..])
    );
    assert_eq!(data.train.pixels[3072 * 2], 20);
    let notes = data.notes.join("; ");
    for part in [
        "1 images have labels beyond the 10 classes",
        "data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin are not there",
        "have 10000 images each, but data_batch_1.bin has 11, test_batch.bin has 1",
    ] {
        assert!(notes.contains(part), "`{part}` is not in {notes}");
    }
    fs::write(root.join("data_batch_2.bin"), [0; 100]).unwrap();
    let reason = error(&root);
    assert!(reason.contains("data_batch_2.bin") && reason.contains("100 bytes"), "{reason}");
}

/// A convolution over the picture, and one layer over that.
fn tiny(classes: &[String]) -> Network {
    let node = |name: &str, input: &str, op: Op| Node { name: name.into(), inputs: vec![input.into()], op };
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], bias: true, ..Conv2d::new(3, 4, [3, 3]) };
    let network = Network {
        version: FORMAT_VERSION,
        name: "tiny".into(),
        inputs: vec![Input::new("image", [3, 8, 8])],
        nodes: vec![
            node("conv", "image", Op::Conv2d(conv)),
            node("relu", "conv", Op::Activation(Activation::Relu)),
            node("pool", "relu", Op::GlobalAvgPool),
            node("fc", "pool", Op::Linear(Linear { in_features: 4, out_features: 2, bias: true })),
        ],
        outputs: vec!["fc".into()],
        preprocess: None,
        labels: vec![],
    };
    with_classes(network, classes).unwrap()
}

fn settings() -> Settings {
    let options = Options { batch: 7, ..Options::default() };
    Settings { epochs: 3, rate: 0.1, augment: Augment::Standard, options, ..Settings::default() }
}

fn to_the_end(training: &mut TrainingLoop, time: Duration) -> Vec<u8> {
    while block_on(training.advance(time)).unwrap() != Advance::Done {}
    block_on(training.model()).unwrap().to_bytes(doconv::Dtype::F32).unwrap()
}

/// A training run that is interrupted anywhere and resumed gives the same network, on every adapter.
#[test]
fn training_resumes_from_its_checkpoints() {
    let folder = folder();
    coloured(folder.path());
    let mut data = load(folder.path(), &shaping(3, 8), None).unwrap();
    // Two batches.
    data.validation.pixels.extend_from_within(..);
    data.validation.labels.extend_from_within(..);
    let data = Arc::new(data);
    let model = Model::initialised(tiny(&data.classes), 3).unwrap().expand(None, 0.0, 0).unwrap();
    for (index, info) in block_on(Adapter::list()).iter().enumerate() {
        let adapter = block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let mut whole = block_on(TrainingLoop::new(&adapter, &model, data.clone(), settings())).unwrap();
        let expected = to_the_end(&mut whole, Duration::MAX);
        assert_eq!(whole.history().len(), 3);
        assert!(whole.history()[2].validation_accuracy.unwrap() > 0.9, "{}: {:?}", info.name, whole.history());

        // Six steps an epoch: in the middle of one, before and in validation, and in the next one.
        for calls in [2, 6, 7, 12] {
            let mut first = block_on(TrainingLoop::new(&adapter, &model, data.clone(), settings())).unwrap();
            let last = (0..calls).map(|_| block_on(first.advance(Duration::ZERO)).unwrap()).last();
            let place = first.position();
            assert_eq!((place == (0, 6, 6), place.0 == 1), (calls == 6 || calls == 7, calls == 12), "{place:?}");
            let validates = matches!(last, Some(Advance::Validation { done: 6, .. }));
            assert_eq!(validates, calls == 7, "{last:?}");
            let bytes = block_on(first.checkpoint()).unwrap();
            drop(first);
            let checkpoint = Checkpoint::from_bytes("here", &bytes).unwrap();
            let mut second = block_on(TrainingLoop::resume(&adapter, &checkpoint, data.clone())).unwrap();
            assert_eq!(second.position(), place);
            assert_eq!(to_the_end(&mut second, Duration::ZERO), expected, "{} after {calls} calls", info.name);
            // Nor does what is said of the epochs depend on how often somebody looked.
            let said = |training: &TrainingLoop| -> Vec<_> {
                let of = |epoch: &Epoch| (epoch.train_loss, epoch.train_accuracy, epoch.validation_loss, epoch.rate);
                training.history().iter().map(of).collect()
            };
            assert_eq!(said(&second), said(&whole), "{} after {calls} calls", info.name);
        }
    }
}

#[test]
fn a_training_loop_refuses_what_does_not_fit() {
    let folder = folder();
    coloured(folder.path());
    let adapter = Adapter::cpu();
    let data = Arc::new(load(folder.path(), &shaping(3, 8), None).unwrap());
    let model = Model::initialised(tiny(&data.classes), 3).unwrap();
    let refusal = |model: &Model, data: &Arc<DataSet>, settings: Settings| {
        block_on(TrainingLoop::new(&adapter, model, data.clone(), settings)).expect_err("it is refused").to_string()
    };
    let reason = refusal(&model, &data, Settings { rate: f32::NAN, ..settings() });
    assert!(reason.contains("learning rate of NaN"), "{reason}");
    let reason = refusal(&model, &data, Settings { smoothing: 1.0, ..settings() });
    assert!(reason.contains("label smoothing 1"), "{reason}");
    let larger = Arc::new(load(folder.path(), &shaping(3, 9), None).unwrap());
    let reason = refusal(&model, &larger, settings());
    assert!(reason.contains("[3, 9, 9]") && reason.contains("[3, 8, 8]"), "{reason}");
    let two = Model::initialised(tiny(&["a".into(), "b".into()]), 3).unwrap();
    let reason = refusal(&two, &data, settings());
    assert!(reason.contains("3 classes, the network 2"), "{reason}");

    let reason = refusal(&model, &data, Settings { epochs: 0, ..settings() });
    assert!(reason.contains("0 epochs"), "{reason}");
    let frozen = Options { frozen: vec!["conv2.*".into()], ..settings().options };
    let reason = refusal(&model, &data, Settings { options: frozen, ..settings() });
    assert!(reason.contains("`conv2.*`") && reason.contains("`conv.bias`"), "{reason}");
    let large = Options { batch: usize::MAX, ..settings().options };
    let training =
        block_on(TrainingLoop::new(&adapter, &model, data.clone(), Settings { options: large, ..settings() })).unwrap();
    assert_eq!((training.trainer().batch(), training.position()), (36, (0, 0, 1)));
    // As many steps as with batches of the size that was asked for, but hardly any image twice.
    for (batch, parts, even) in [(35, 1, 18), (7, 1, 6), (12, 1, 12), (10, 5, 10), (20, 4, 20), (1, 1, 1), (30, 5, 20)]
    {
        let options = Options { batch, parts, ..settings().options };
        let within = Settings { options, ..settings() }.within(&data);
        assert_eq!((within.options.batch, within.clone().within(&data)), (even, within), "{batch} in {parts}");
    }

    // A rate that is too high is told, not carried on with.
    let mut wild =
        block_on(TrainingLoop::new(&adapter, &model, data.clone(), Settings { rate: 1e20, ..settings() })).unwrap();
    let outcome = (0..40).find_map(|_| block_on(wild.advance(Duration::ZERO)).err());
    let reason = outcome.expect("it overflows").to_string();
    assert!(reason.contains("diverges") && reason.contains("lower learning rate"), "{reason}");

    let mut training = block_on(TrainingLoop::new(&adapter, &model, data.clone(), settings())).unwrap();
    let bytes = block_on(training.checkpoint()).unwrap();
    let checkpoint = Checkpoint::from_bytes("here", &bytes).unwrap();
    let other = Arc::new(load(folder.path(), &shaping(3, 8), Some(3)).unwrap());
    let reason = block_on(TrainingLoop::resume(&adapter, &checkpoint, other)).unwrap_err().to_string();
    assert!(reason.contains("36 images") && reason.contains("33, 3 and 3"), "{reason}");
    // As many images, but others, or of other classes; and a bit that has changed.
    type Change = (fn(&mut DataSet), &'static str);
    let changes: [Change; 3] = [
        (|data| data.train.pixels[100] ^= 1, "other data"),
        (|data| data.validation.labels.swap(0, 1), "other data"),
        (|data| data.classes[1] = "grey".into(), "`blue`, `green`, `red`, these are `blue`, `grey`"),
    ];
    for (change, part) in changes {
        let mut other = (*data).clone();
        change(&mut other);
        let reason = block_on(TrainingLoop::resume(&adapter, &checkpoint, Arc::new(other))).unwrap_err().to_string();
        assert!(reason.contains(part) && reason.contains("go on with the data"), "{reason}");
    }
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 0x10;
    let reason = Checkpoint::from_bytes("here", &flipped).unwrap_err().to_string();
    assert!(reason.contains("here") && reason.contains("damaged"), "{reason}");
    // Places that are none.
    let tensors = read_tensors("here", &bytes).unwrap();
    for (from, to) in
        [("\"step\":0", "\"step\":7"), ("\"progress\":{\"epochs\":0", "\"progress\":{\"epochs\":18446744073709551615")]
    {
        let (weights, mut metadata) = tensors.clone();
        let entry = metadata.get_mut("doconv.training").unwrap();
        assert!(entry.contains(from), "{entry}");
        *entry = entry.replace(from, to);
        let named = weights.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let damaged = write_tensors(named, &metadata, doconv::Dtype::F32).unwrap();
        let damaged = Checkpoint::from_bytes("here", &damaged).unwrap();
        let reason = block_on(TrainingLoop::resume(&adapter, &damaged, data.clone())).unwrap_err().to_string();
        assert!(reason.contains("damaged"), "{reason}");
    }
    let model = model.to_bytes(doconv::Dtype::F32).unwrap();
    assert!(Checkpoint::from_bytes("model", &model).unwrap_err().to_string().contains("no checkpoint"));
    for cut in [0, 7, 100, bytes.len() - 1] {
        assert!(Checkpoint::from_bytes("cut", &bytes[..cut]).is_err());
    }
}

#[test]
fn other_classes_get_a_last_layer_of_their_own() {
    let model = Model::initialised(tiny(&["a".into(), "b".into()]), 3).unwrap();
    assert_eq!(model.for_classes(&["a".into(), "b".into()], 1).unwrap().weights(), model.weights());
    // As many, but others; and where nobody knows which.
    let other = model.for_classes(&["b".into(), "a".into()], 1).unwrap();
    assert_ne!(other.weights()["fc.weight"], model.weights()["fc.weight"]);
    assert_eq!(other.weights()["conv.weight"], model.weights()["conv.weight"]);
    let unnamed = Network { labels: vec![], ..model.network().clone() };
    let unnamed = Model::new(unnamed, model.weights().clone()).unwrap();
    let named = unnamed.for_classes(&["c".into(), "d".into()], 1).unwrap();
    assert_eq!((named.weights(), &named.network().labels[..]), (model.weights(), &["c".to_owned(), "d".into()][..]));
    let three = model.for_classes(&["c".into(), "d".into(), "e".into()], 1).unwrap();
    assert_eq!(three.weights()["fc.weight"].shape(), [3, 4]);
    assert_eq!(three.weights()["conv.weight"], model.weights()["conv.weight"]);
}
