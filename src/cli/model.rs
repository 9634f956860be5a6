//! Models as commands name them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use doconv::formats::StateDict;
use doconv::formats::onnx::File;
use doconv::network::zoo;
use doconv::{Bundled, Dtype, Model, formats};

use super::onnx::is_onnx;

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

/// How a file of weights without a description is to be read.
#[derive(clap::Args)]
pub struct Arch {
    /// Read weights without a description as this architecture, such as resnet50 (--help lists all)
    #[arg(long, value_name = "NAME", long_help = arch_help())]
    arch: Option<String>,
}

fn arch_help() -> String {
    format!(
        "Read weights without a description as this architecture\n\nFor PyTorch state dicts (.pth, .pt, .safetensors) and \
         NumPy archives (.npz) with PyTorch's, TensorFlow's or Gluon's names, plain or DO-Conv; files are told apart by \
         content. A model file needs no --arch. Architectures: {}",
        zoo::NAMES.join(", ")
    )
}

/// A model, and what was found in its file.
pub struct Opened {
    pub model: Model,
    pub file_bytes: usize,
    /// The types of the file's numbers.
    pub dtypes: String,
}

impl Arch {
    /// As the flag would say it.
    pub fn named(arch: Option<String>) -> Self {
        Self { arch }
    }

    /// Opens a model file, or with an architecture a file of weights.
    pub fn open(&self, path: &Path) -> Result<Model> {
        Ok(self.open_file(path)?.model)
    }

    /// Opens a model, or the bundled ImageNet network where none is named.
    pub fn open_or_bundled(&self, path: Option<&Path>) -> Result<Model> {
        Ok(self.open_or_bundled_file(path)?.model)
    }

    /// The same, with what the file holds.
    pub fn open_or_bundled_file(&self, path: Option<&Path>) -> Result<Opened> {
        match (path, &self.arch) {
            (Some(path), _) => self.open_file(path),
            (None, None) => open_bundled(Bundled::ImageNet),
            (None, Some(arch)) => bail!("--arch {arch} says how a file is read, but no file is named"),
        }
    }

    /// The architecture with random weights, or the bundled ImageNet network where none is named.
    pub fn random_or_bundled(&self) -> Result<Model> {
        match &self.arch {
            Some(arch) => Ok(Model::initialised(zoo::build(arch)?, 1)?),
            None => Ok(open_bundled(Bundled::ImageNet)?.model),
        }
    }

    /// Whether a file is ONNX, which describes its network itself.
    pub fn names_onnx(&self, path: &Path) -> Result<bool> {
        let onnx = is_onnx(path);
        if let Some(arch) = self.arch.as_ref().filter(|_| onnx) {
            bail!("{}: an ONNX file describes its network itself; leave out --arch {arch}", path.display());
        }
        Ok(onnx)
    }

    fn open_file(&self, path: &Path) -> Result<Opened> {
        if let Some(bundled) = bundled(path) {
            if let Some(arch) = &self.arch {
                bail!("{}: a bundled network says what it is; leave out --arch {arch}", path.display());
            }
            return open_bundled(bundled);
        }
        if self.names_onnx(path)? {
            return open_onnx(path);
        }
        if let Some(arch) = &self.arch {
            zoo::build(arch)?;
        }
        let name = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| name.clone())?;
        let file_bytes = bytes.len();
        if formats::is_model_file(&bytes) {
            let model = Model::from_bytes(&name, &bytes)?;
            if let Some(arch) = self.arch.as_ref().filter(|arch| **arch != model.network().name) {
                bail!(
                    "{name}: is a model file that describes `{}`, not `{arch}`; leave out --arch",
                    model.network().name
                );
            }
            return Ok(Opened { model, file_bytes, dtypes: join(&formats::read_dtypes(&name, &bytes)?) });
        }
        let weights = StateDict::from_bytes(&name, &bytes)?;
        drop(bytes);
        let Some(arch) = &self.arch else { bail!("{}", missing_arch(&name, &weights)) };
        let dtypes = join(weights.dtypes());
        let model = weights.into_model(arch)?;
        warn_of_rank(&model);
        Ok(Opened { model, file_bytes, dtypes })
    }
}

/// The bundled network that a path names, unless there is a file of that name.
pub fn bundled(path: &Path) -> Option<Bundled> {
    path.to_str().and_then(Bundled::named).filter(|_| !path.is_file())
}

fn open_bundled(bundled: Bundled) -> Result<Opened> {
    let bytes = bundled.bytes();
    let dtypes = join(&formats::read_dtypes(bundled.name(), bytes)?);
    Ok(Opened { model: bundled.model()?, file_bytes: bytes.len(), dtypes })
}

/// The model in an ONNX file whose inputs need not be known.
fn open_onnx(path: &Path) -> Result<Opened> {
    let file = File::open(path)?;
    let model = file.import(&BTreeMap::new())?.model;
    let file_bytes = usize::try_from(std::fs::metadata(path)?.len())?;
    Ok(Opened { model, file_bytes, dtypes: file.dtypes().join(", ") })
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn missing_arch(name: &str, weights: &StateDict) -> String {
    let what = format!("{name}: no model file: it holds weights, but not the network (no `{}`)", formats::NETWORK_KEY);
    match weights.fitting().as_slice() {
        [] => format!("{what}, and they fit no architecture that --arch knows (see --help)"),
        fitting => format!("{what}; name it with --arch; these fit: {}", fitting.join(", ")),
    }
}

/// Layers whose D has too few columns are read, but nobody should train them unawares.
fn warn_of_rank(model: &Model) {
    let layers = model.rank_deficient_layers();
    if let [first, ..] = layers.as_slice() {
        super::output::note(&format!(
            "warning: {} DO-Conv layers (the first is {first}) have a D_mul below their number of taps: their kernels are \
             rank-deficient",
            layers.len()
        ));
    }
}

/// A model file to read and one to write.
#[derive(clap::Args)]
pub struct Files {
    /// Model file, ONNX file, `cifar10` or `imagenet` for a bundled one, or with --arch a file of weights (.pth, .pt, .npz,
    /// .safetensors)
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    arch: Arch,
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
        self.arch.open(&self.input)
    }

    /// The kind of file to write: what the user said, or else what the file is called.
    pub fn format(&self) -> Format {
        let onnx = self.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        self.format.unwrap_or(if onnx { Format::Onnx } else { Format::Safetensors })
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

/// Fails early, before anything is computed, where a file cannot be written, as [`formats::write_file`] does it: by way of a
/// file beside it.
pub fn check_writable(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "{}: is a directory; name a file to write", path.display());
    ensure!(!path.exists() || path.is_file(), "{}: is no regular file; name a file to write", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: cannot be written: there is no directory {}", path.display(), folder.display());
    let name = path.file_name().with_context(|| format!("{}: is no name of a file", path.display()))?;
    // Behind a link it is the file there that is replaced.
    let target = path.canonicalize().ok();
    let folder = target.as_deref().and_then(Path::parent).unwrap_or(folder);
    let beside = tempfile::Builder::new().prefix(".").suffix(name).tempfile_in(folder);
    // The name of that file would say nothing to anybody.
    beside.map(drop).map_err(|error| anyhow!("{}: cannot be written: {}", path.display(), error.kind()))
}
