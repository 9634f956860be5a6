//! Arrays in files: `.npy` for one, `.safetensors` for several by name.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use doconv::{Dtype, Tensor, Weights, formats};

use super::npy;

/// The kind of a file, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Npy,
    Safetensors,
}

impl Kind {
    /// Tells the kind of a file that is to hold arrays of these names.
    pub fn of(path: &Path, names: &[&str]) -> Result<Self> {
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("safetensors") {
            Ok(Kind::Safetensors)
        } else if !extension.eq_ignore_ascii_case("npy") {
            bail!("{}: unknown kind of file; arrays are .npy or .safetensors files", path.display())
        } else if names.len() != 1 {
            bail!(
                "{}: a .npy file holds one array, and the network has {} ({}); use .safetensors",
                path.display(),
                names.len(),
                names.join(", ")
            )
        } else {
            Ok(Kind::Npy)
        }
    }
}

/// Reads the arrays of these names, in their order. The array of a `.npy` file goes by any name.
pub fn read(path: &Path, names: &[&str]) -> Result<Vec<Tensor>> {
    let kind = Kind::of(path, names)?;
    let file = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| file.clone())?;
    if kind == Kind::Npy {
        return Ok(vec![formats::read_npy(&bytes).map_err(|reason| anyhow::anyhow!("{file}: {reason}"))?]);
    }
    let (mut tensors, _) = formats::read_tensors(&file, &bytes)?;
    let present: Vec<String> = tensors.keys().cloned().collect();
    let mut take = |name: &&str| {
        let missing = || format!("{file}: there is no tensor `{name}`, only: {}", present.join(", "));
        tensors.remove(*name).with_context(missing)
    };
    let arrays = names.iter().map(&mut take).collect::<Result<Vec<_>>>()?;
    if let Some(name) = tensors.keys().next() {
        bail!("{file}: the network has no input `{name}`, only: {}", names.join(", "));
    }
    Ok(arrays)
}

/// Writes arrays by name, whole or not at all.
pub fn write(path: &Path, names: &[&str], arrays: &[Tensor]) -> Result<()> {
    ensure!(names.len() == arrays.len(), "{} names for {} arrays", names.len(), arrays.len());
    let bytes = match Kind::of(path, names)? {
        Kind::Npy => npy::write(&arrays[0])?,
        Kind::Safetensors => {
            let tensors: Weights = names.iter().map(|&name| name.to_owned()).zip(arrays.iter().cloned()).collect();
            let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
            formats::write_tensors(tensors, &Default::default(), Dtype::F32)?
        }
    };
    Ok(formats::write_file(path, &bytes)?)
}
