//! What is kept between two calls of the program: kernel configurations that were timed, in the user's folder for such things.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use doconv::gpu::policy::{TuningFile, TuningTable};
use doconv::{AdapterInfo, Precision, formats};
use etcetera::BaseStrategy;

use super::output;

/// The environment variable that names another folder; set to nothing, nothing is kept.
const VARIABLE: &str = "DOCONV_CACHE";

/// Where it is kept, if anywhere.
pub fn folder() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(named) => (!named.is_empty()).then(|| named.into()),
        None => Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("doconv")),
    }
}

fn tuning_file() -> Option<PathBuf> {
    Some(folder()?.join("tuning.json"))
}

fn stored() -> TuningFile {
    let Some(path) = tuning_file() else { return TuningFile::default() };
    let read = match std::fs::read_to_string(&path) {
        Ok(json) => TuningFile::parse(&json).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => return TuningFile::default(),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|reason| {
        // What is there cannot be used, and is no reason not to work.
        output::note(&format!("{}: {reason}; left alone, `--tune full` writes it anew", path.display()));
        TuningFile::default()
    })
}

/// The configurations for an adapter that were timed on this machine, in a precision.
pub fn tuned(info: &AdapterInfo, precision: Precision) -> TuningTable {
    stored().of(info, precision)
}

/// Keeps the configurations for an adapter in a precision.
pub fn keep_tuned(info: &AdapterInfo, precision: Precision, tuned: &TuningTable) -> Result<()> {
    let (Some(folder), Some(path)) = (folder(), tuning_file()) else { return Ok(()) };
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // Read again: another process may have written meanwhile.
    let mut stored = stored();
    stored.put(info, precision, tuned);
    Ok(formats::write_file(&path, (stored.to_json() + "\n").as_bytes())?)
}
