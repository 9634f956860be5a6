//! NumPy's array files.

use anyhow::{Result, bail, ensure};
use doconv::Tensor;
use npyz::{NpyFile, Order, WriterBuilder};

/// How deep brackets may nest in a header; its parser is recursive.
const MAX_BRACKETS: usize = 64;

/// Reads a float32 or float64 array of any byte and axis order, versions 1 to 3.
pub fn read(bytes: &[u8]) -> Result<Tensor> {
    ensure!(!bytes.is_empty(), "empty file");
    check_header(bytes)?;
    let file = NpyFile::new(bytes).map_err(|error| anyhow::anyhow!("no valid .npy file: {error}"))?;
    let shape: Vec<usize> = file.shape().iter().map(|&extent| usize::try_from(extent)).collect::<Result<_, _>>()?;
    let dtype = file.dtype().descr();
    let size = match dtype.trim_matches('\'').get(1..) {
        Some("f4") => 4,
        Some("f8") => 8,
        _ => bail!("dtype is {dtype}; float32 ('<f4') and float64 ('<f8') can be read"),
    };
    let order = file.order();
    let count = shape.iter().try_fold(size, |product: usize, &extent| product.checked_mul(extent));
    let data = file.clone().into_inner();
    ensure!(
        count == Some(data.len()),
        "an array of shape {shape:?} and dtype {dtype} does not take the {} bytes that follow the header",
        data.len()
    );
    let values = if size == 4 { file.into_vec::<f32>()? } else { narrow(&file.into_vec::<f64>()?)? };
    let values = if order == Order::Fortran { to_c_order(&values, &shape) } else { values };
    Ok(Tensor::new(shape, values)?)
}

/// The bytes of a float32 array in C order.
pub fn write(tensor: &Tensor) -> Result<Vec<u8>> {
    let shape: Vec<u64> = tensor.shape().iter().map(|&extent| extent as u64).collect();
    let mut bytes = vec![];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
    writer.extend(tensor.data().iter())?;
    writer.finish()?;
    Ok(bytes)
}

/// Refuses headers that would cost the parser memory or stack beyond the size of the file.
fn check_header(bytes: &[u8]) -> Result<()> {
    let header = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, rest @ ..] => {
            rest.get(..usize::from(u16::from_le_bytes([*low, *high])))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', _, _, a, b, c, d, rest @ ..] => {
            rest.get(..u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => bail!("not a .npy file"),
    };
    let Some(header) = header else { bail!("truncated: the header is longer than the file") };
    let brackets = header.iter().filter(|byte| b"([{".contains(byte)).count();
    ensure!(brackets <= MAX_BRACKETS, "no valid .npy file: the header has {brackets} brackets");
    Ok(())
}

fn narrow(values: &[f64]) -> Result<Vec<f32>> {
    if let Some(at) = values.iter().position(|value| value.is_finite() && (*value as f32).is_infinite()) {
        bail!("value {at} is {:e}, which does not fit 32-bit floats", values[at]);
    }
    Ok(values.iter().map(|&value| value as f32).collect())
}

/// Values with the first axis fastest, rearranged with the last axis fastest.
fn to_c_order(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut index = vec![0; shape.len()];
    let mut result = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        result.push(values[index.iter().zip(&strides).map(|(index, stride)| index * stride).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    result
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
    fn arrays_survive_a_round_trip() {
        let tensor = Tensor::new([2, 3], vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE, 5.0, f32::INFINITY]).unwrap();
        assert_eq!(read(&write(&tensor).unwrap()).unwrap(), tensor);
    }

    #[test]
    fn every_version_order_and_width_is_read() {
        let expected = Tensor::new([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let columns = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0];
        for version in 1..=3 {
            let rows: Vec<u8> = expected.data().iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(read(&file(version, &header("<f4", false, "(2, 3)"), &rows)).unwrap(), expected);
            let wide: Vec<u8> = columns.iter().flat_map(|value: &f64| value.to_be_bytes()).collect();
            assert_eq!(read(&file(version, &header(">f8", true, "(2, 3)"), &wide)).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
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
