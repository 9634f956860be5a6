//! NumPy's array files, one by one and in `.npz` archives.

use std::collections::BTreeMap;

use npyz::{NpyFile, Order};
use zip::ZipArchive;

use super::decompression_limit::DecompressionLimit;
use super::tensor_file::{is_counter, narrow};
use super::zip_archive;
use crate::{Tensor, Weights};

/// How deep brackets may nest in a header; its parser is recursive.
const MAX_BRACKETS: usize = 64;

/// Reads a float32 or float64 array of any byte and axis order, versions 1 to 3.
///
/// # Errors
/// What is wrong with the bytes, in a few words.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor, String> {
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    check_header(bytes)?;
    let file = NpyFile::new(bytes).map_err(|error| format!("no valid .npy file: {error}"))?;
    let shape: Vec<usize> = file
        .shape()
        .iter()
        .map(|&extent| usize::try_from(extent).map_err(|_| format!("extent {extent} is too large")))
        .collect::<Result<_, _>>()?;
    let dtype = file.dtype().descr();
    let size = match dtype.trim_matches('\'').get(1..) {
        Some("f4") => 4,
        Some("f8") => 8,
        _ => return Err(format!("dtype is {dtype}; float32 ('<f4') and float64 ('<f8') can be read")),
    };
    let order = file.order();
    let count = shape.iter().try_fold(size, |product: usize, &extent| product.checked_mul(extent));
    let data = file.clone().into_inner();
    if count != Some(data.len()) {
        return Err(format!(
            "an array of shape {shape:?} and dtype {dtype} does not take the {} bytes that follow the header",
            data.len()
        ));
    }
    let broken = |error: std::io::Error| error.to_string();
    let values = match size {
        4 => file.into_vec::<f32>().map_err(broken)?,
        _ => narrow(&file.into_vec::<f64>().map_err(broken)?)?,
    };
    let values = if order == Order::Fortran { to_c_order(&values, &shape) } else { values };
    Tensor::new(shape, values).map_err(|error| error.to_string())
}

/// Reads every array of an `.npz` archive; integer counters called `num_batches_tracked` are skipped.
pub(super) fn read_npz(
    archive: &mut ZipArchive<zip_archive::Bytes>,
    budget: &mut DecompressionLimit,
) -> Result<Weights, String> {
    let mut weights = BTreeMap::new();
    for (index, file) in zip_archive::names(archive)?.into_iter().enumerate() {
        let Some(name) = npyz::npz::array_name_from_file_name(&file) else { continue };
        let bytes = zip_archive::read(archive, index, budget)?;
        match read_npy(&bytes) {
            Ok(array) => {
                if weights.insert(name.to_string(), array).is_some() {
                    return Err(format!("array `{name}` is there twice"));
                }
            }
            Err(_) if is_counter(name) => {}
            Err(reason) => return Err(format!("array `{name}`: {reason}")),
        }
    }
    Ok(weights)
}

/// Refuses headers that would cost the parser memory or stack beyond the size of the file.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let header = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, rest @ ..] => {
            rest.get(..usize::from(u16::from_le_bytes([*low, *high])))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', _, _, a, b, c, d, rest @ ..] => {
            rest.get(..u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err("not a .npy file".into()),
    };
    let Some(header) = header else { return Err("truncated: the header is longer than the file".into()) };
    let brackets = header.iter().filter(|byte| b"([{".contains(byte)).count();
    if brackets > MAX_BRACKETS {
        return Err(format!("no valid .npy file: the header has {brackets} brackets"));
    }
    Ok(())
}

/// Values with the first axis fastest, rearranged with the last axis fastest.
fn to_c_order(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let axes: Vec<usize> = (0..shape.len()).rev().collect();
    super::transpose::permuted(values, &reversed, &axes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(dtype: &str, fortran: bool, shape: &str) -> String {
        let order = if fortran { "True" } else { "False" };
        format!("{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn every_version_order_and_width_is_read() {
        let expected = Tensor::new([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let columns = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0];
        for version in 1..=3 {
            let rows: Vec<u8> = expected.data().iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(read_npy(&file(version, &header("<f4", false, "(2, 3)"), &rows)).unwrap(), expected);
            let wide: Vec<u8> = columns.iter().flat_map(|value: &f64| value.to_be_bytes()).collect();
            assert_eq!(read_npy(&file(version, &header(">f8", true, "(2, 3)"), &wide)).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = |bytes: &[u8]| read_npy(bytes).unwrap_err();
        let data = [0; 8];
        assert_eq!(error(b""), "empty file");
        assert_eq!(error(b"\x93NUMPY\x01"), "not a .npy file");
        assert!(error(&file(1, &header("<i8", false, "(1,)"), &data)).contains("dtype is '<i8'"));
        assert!(error(&file(1, &header("<f4", false, "(3,)"), &data)).contains("[3]"));
        let huge = "(4294967296, 4294967296, 4)";
        assert!(error(&file(2, &header("<f4", false, huge), &data)).contains("does not take the 8 bytes"));
        assert!(error(&file(2, &"[".repeat(100_000), &data)).contains("100000 brackets"));
        assert!(error(&file(1, &header("<f8", false, "(1,)"), &1e300f64.to_le_bytes())).contains("1e300"));
        let mut cut = file(1, &header("<f4", false, "(2,)"), &data);
        cut.truncate(30);
        assert!(error(&cut).contains("truncated"));
    }
}
