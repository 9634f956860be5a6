//! ONNX files as commands use them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use doconv::formats::onnx::{Array, Data, File, Imported, Port};
use doconv::{Model, Tensor, formats};

use super::arrays;

/// Whether a file is ONNX: by its name, or by its first bytes.
pub fn is_onnx(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
        return true;
    }
    let mut start = [0; 9];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    // The version of the format comes first, as one byte; a safetensors file has a brace after eight bytes.
    read.is_ok() && start[0] == 0x08 && (1..0x80).contains(&start[1]) && start[2] != 0 && start[8] != b'{'
}

/// A model together with the arrays it is to be run on.
pub struct Bound {
    pub model: Model,
    pub inputs: Vec<Tensor>,
    outputs: Vec<Port>,
    batch: usize,
}

/// Reads a model and the arrays for it; some of them may become part of the model.
pub fn bind(model: &Path, input: &Path) -> Result<Bound> {
    let file = File::open(model)?;
    let names = file.inputs();
    let mut given = read(input, &names)?;
    let Imported { model, inputs: ports, outputs } = file.import(&given)?;
    let mut batch = None;
    let mut inputs = vec![];
    for (port, declared) in ports.iter().zip(&model.network().inputs) {
        let missing = || format!("{}: there is no array `{}`", input.display(), port.name);
        let array = given.remove(&port.name).with_context(missing)?;
        let mut wanted = port.dims.clone();
        if port.batched {
            let own = array.dims().first().copied().unwrap_or(0);
            wanted = port.dims_of(*batch.get_or_insert(own));
        }
        if array.dims() != wanted || wanted.contains(&0) {
            let free = if port.batched { " (the first is free, but the same for all)" } else { "" };
            let reason = format!("expected {wanted:?}{free}, the file has {:?}", array.dims());
            let error = doconv::Error::Input { input: port.name.clone(), reason };
            return Err(anyhow::Error::from(error).context(input.display().to_string()));
        }
        let [c, h, w] = declared.shape;
        let items = batch.unwrap_or(1) * declared.items;
        let Data::F32(values) = array.data() else {
            bail!("{}: `{}` is no array of floats", input.display(), port.name)
        };
        inputs.push(Tensor::new([items, c, h, w], values.clone())?);
    }
    Ok(Bound { model, inputs, outputs, batch: batch.unwrap_or(1) })
}

impl Bound {
    pub fn output_names(&self) -> Vec<&str> {
        self.outputs.iter().map(|port| port.name.as_str()).collect()
    }

    /// Results with the axes that the file gives them.
    pub fn shaped(&self, results: Vec<Tensor>) -> Result<Vec<Tensor>> {
        ensure!(results.len() == self.outputs.len(), "{} results for {} outputs", results.len(), self.outputs.len());
        let shaped = results.into_iter().zip(&self.outputs);
        shaped.map(|(tensor, port)| Ok(tensor.reshape(port.dims_of(self.batch))?)).collect()
    }
}

/// The arrays of a file by name; the array of a `.npy` file goes by the name of the only input.
fn read(path: &Path, names: &[&str]) -> Result<BTreeMap<String, Array>> {
    let kind = arrays::Kind::of(path, names)?;
    let file = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| file.clone())?;
    if kind == arrays::Kind::Npy {
        let tensor = formats::read_npy(&bytes).map_err(|reason| anyhow::anyhow!("{file}: {reason}"))?;
        let array = Array::new(tensor.shape(), tensor.data().to_vec()).context(file)?;
        return Ok(BTreeMap::from([(names[0].to_string(), array)]));
    }
    let arrays = formats::read_arrays(&file, &bytes)?;
    if let Some(name) = arrays.keys().find(|name| !names.contains(&name.as_str())) {
        bail!("{file}: the model has no input `{name}`, only: {}", names.join(", "));
    }
    Ok(arrays)
}
