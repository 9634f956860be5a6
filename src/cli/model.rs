//! Models as commands name them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use doconv::network::zoo;
use doconv::{Dtype, Model, formats};

/// How numbers are stored.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum DtypeName {
    /// 32-bit floats: exact
    #[default]
    F32,
    /// 16-bit floats: half the size
    F16,
}

impl DtypeName {
    pub fn name(self) -> &'static str {
        match self {
            DtypeName::F32 => "f32",
            DtypeName::F16 => "f16",
        }
    }
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F32 => Dtype::F32,
            DtypeName::F16 => Dtype::F16,
        }
    }
}

/// The kind of file to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A model file: weights and the description of the network
    Safetensors,
    /// ONNX: folded networks only
    Onnx,
}

/// Opens a model file.
pub fn open(path: &Path) -> Result<Model> {
    if super::onnx::is_onnx(path) {
        return super::onnx::open(path);
    }
    Ok(Model::open(path)?)
}

/// Opens a model file, or the bundled network where none is named.
pub fn open_or_bundled(path: Option<&Path>) -> Result<Model> {
    path.map_or_else(|| Ok(Model::bundled()?), open)
}

/// A model file to read and one to write.
#[derive(clap::Args)]
pub struct Files {
    /// Model file (.safetensors or .onnx), or with --arch a PyTorch state dict (.safetensors)
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Read IN as a PyTorch state dict of this architecture, such as efficientnet_lite0
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// Kind of file to write [default: onnx if OUT ends in .onnx, else safetensors]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How numbers are stored
    #[arg(long, value_enum, default_value_t)]
    dtype: DtypeName,
}

impl Files {
    /// Reads the model, after checking that it can be written.
    pub fn read(&self) -> Result<Model> {
        check_writable(&self.output)?;
        let Some(arch) = &self.arch else { return open(&self.input) };
        let network = zoo::build(arch)?;
        if super::onnx::is_onnx(&self.input) {
            bail!("{}: an ONNX file describes its network itself; leave out --arch", self.input.display());
        }
        let name = self.input.display().to_string();
        let bytes = std::fs::read(&self.input).with_context(|| name.clone())?;
        let (weights, _) = formats::read_tensors(&name, &bytes)?;
        Model::from_state_dict(network, weights).with_context(|| format!("{name} is no state dict of {arch}"))
    }

    /// The kind of file to write: what the user said, or else what the file is called.
    pub fn format(&self) -> Format {
        self.format.unwrap_or(if super::onnx::is_onnx(&self.output) { Format::Onnx } else { Format::Safetensors })
    }

    /// Writes the model and says in a few words what was written.
    pub fn write(&self, model: &Model) -> Result<String> {
        let (bytes, kind) = match self.format() {
            Format::Safetensors => (model.to_bytes(self.dtype.into())?, ""),
            Format::Onnx => (model.to_onnx(self.dtype.into())?, "ONNX, "),
        };
        formats::write_file(&self.output, &bytes)?;
        let size = super::output::bytes(bytes.len() as u64);
        Ok(format!("{} ({kind}{}, {size})", self.output.display(), self.dtype.name()))
    }
}

/// Fails early, before anything is computed, where a file certainly cannot be written.
pub fn check_writable(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "{}: is a directory; name a file to write", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: cannot be written: there is no directory {}", path.display(), folder.display());
    Ok(())
}
