//! Images as users name them: files, directories, patterns, stdin.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use doconv::Image;

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    /// The name that results go by.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Stdin => "-".into(),
        }
    }

    /// Reads and decodes it.
    pub fn open(&self) -> doconv::Result<Image> {
        match self {
            Source::File(path) => Image::open(path),
            Source::Stdin => Image::read("stdin", std::io::stdin().lock()),
        }
    }
}

/// All images that the arguments mean, in their order; those of a directory or pattern sorted by name.
///
/// A file that is not there stays in the list: it fails when it is opened, and the others go on.
pub fn expand(arguments: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = vec![];
    for argument in arguments {
        if argument.as_os_str() == "-" {
            ensure!(!sources.contains(&Source::Stdin), "-: stdin can be read only once");
            sources.push(Source::Stdin);
        } else if argument.is_dir() {
            sources.extend(images_in(argument)?.into_iter().map(Source::File));
        } else {
            sources.extend(files(argument)?.into_iter().map(Source::File));
        }
    }
    Ok(sources)
}

/// The images directly inside a directory: what is called or begins like one, and is not hidden.
fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = || folder.display().to_string();
    let mut images = vec![];
    for entry in fs::read_dir(folder).with_context(name)? {
        let path = entry.with_context(name)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() && (has_image_extension(&path) || begins_like_an_image(&path)) {
            images.push(path);
        }
    }
    if images.is_empty() {
        bail!(
            "{}: no images in this directory (JPEG, PNG, WebP, BMP and GIF; subdirectories are not searched)",
            name()
        );
    }
    images.sort();
    Ok(images)
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

fn begins_like_an_image(path: &Path) -> bool {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    read.is_ok() && image::guess_format(&start).is_ok_and(|format| [Bmp, Gif, Jpeg, Png, WebP].contains(&format))
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The file of this name, or the files that match it as a pattern.
pub fn files(argument: &Path) -> Result<Vec<PathBuf>> {
    match argument.to_str().filter(|text| is_pattern(text) && !argument.exists()) {
        Some(pattern) => matches_of(pattern),
        None => Ok(vec![argument.into()]),
    }
}

/// The files that a pattern matches, for shells that do not expand it.
fn matches_of(pattern: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern).with_context(|| format!("{pattern}: no valid pattern"))?;
    let mut files: Vec<PathBuf> = paths.filter_map(|path| path.ok().filter(|path| path.is_file())).collect();
    ensure!(!files.is_empty(), "{pattern}: no file matches this pattern");
    files.sort();
    Ok(files)
}
