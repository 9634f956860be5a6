//! The files of a run, checked before anything is computed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use doconv::Dtype;
use doconv::formats::write_file;
use doconv::training::TrainingLoop;
use pollster::block_on;

use super::super::model::check_writable;
use super::arguments::Arguments;
use super::inputs::read_checkpoint;

/// The files that training writes.
pub(super) struct Outputs {
    pub(super) model: PathBuf,
    pub(super) folded: PathBuf,
    pub(super) checkpoint: PathBuf,
    pub(super) log: Option<PathBuf>,
}

impl Outputs {
    pub(super) fn new(model: PathBuf, log: Option<PathBuf>) -> Result<Self> {
        if model.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            bail!(
                "{}: training writes safetensors; make ONNX of what comes of it: doconv fold mine.folded.safetensors {}",
                model.display(),
                model.display()
            );
        }
        let stem = without(&model, &["safetensors"]);
        let beside = |part: &str| with(&stem, &format!("{part}.safetensors"));
        let outputs = Self { folded: beside("folded"), checkpoint: beside("checkpoint"), model, log };
        for path in outputs.models() {
            check_writable(path)?;
        }
        if let Some(log) = &outputs.log {
            let is_log = |path: &&PathBuf| resolved(path) == resolved(log);
            ensure!(
                !outputs.models().iter().any(is_log),
                "{}: the log would be overwritten by what is trained; name another file",
                log.display()
            );
            check_appendable(log)?;
        }
        Ok(outputs)
    }

    fn models(&self) -> [&PathBuf; 3] {
        [&self.model, &self.folded, &self.checkpoint]
    }

    /// Writes the trained model, as it is and folded.
    pub(super) fn write(&self, training: &mut TrainingLoop) -> Result<()> {
        let model = block_on(training.model())?;
        write_file(&self.model, &model.to_bytes(Dtype::F32)?)?;
        Ok(write_file(&self.folded, &model.fold_batch_norms()?.fold()?.to_bytes(Dtype::F32)?)?)
    }

    /// What [`Outputs::write`] wrote, in words.
    pub(super) fn written(&self) -> String {
        format!("{} and, folded, {}", self.model.display(), self.folded.display())
    }
}

/// Without one of these extensions: others may be a part of the name, such as that of `lr0.1`.
pub(super) fn without(path: &Path, extensions: &[&str]) -> PathBuf {
    let known = |own: &std::ffi::OsStr| extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension));
    if path.extension().is_some_and(known) { path.with_extension("") } else { path.into() }
}

/// With one extension more.
pub(super) fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Where a file is, or would be, in one spelling.
pub(super) fn resolved(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().ok().or_else(|| Some(folder.canonicalize().ok()?.join(path.file_name()?)))
}

/// Fails early where lines cannot be added to a file. One that is not there is not made.
fn check_appendable(path: &Path) -> Result<()> {
    if !path.exists() || path.is_dir() {
        return check_writable(path);
    }
    // A pipe may wait for a reader.
    if !path.is_file() {
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().append(true).open(path);
    file.map(drop).with_context(|| path.display().to_string())
}

/// The file to write where none is named: called as the architecture, or as what was interrupted.
pub(super) fn usual_output(arguments: &Arguments) -> PathBuf {
    let resumed = arguments.resume.as_deref().and_then(|path| {
        let stem = path.to_str()?.strip_suffix(".checkpoint.safetensors")?;
        Some(stem.to_owned())
    });
    let name = resumed.or_else(|| arguments.arch.clone());
    PathBuf::from(name.unwrap_or_else(|| "trained".into()) + ".safetensors")
}

/// Fails where a run would take the place of one that can be gone on with.
pub(super) fn check_unfinished(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let way_out = "remove it, or write elsewhere with --out";
    let checkpoint = read_checkpoint(path).with_context(|| format!("this checkpoint is in the way; {way_out}"))?;
    let (done, epochs, path) = (checkpoint.epochs(), checkpoint.settings().epochs, path.display());
    ensure!(
        done >= epochs,
        "{path}: holds a run that has not ended, {done} of {epochs} epochs are done; go on with --resume {path}, {way_out}"
    );
    Ok(())
}
