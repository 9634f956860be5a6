//! NumPy's array files.

use anyhow::Result;
use doconv::Tensor;
use npyz::WriterBuilder;

/// The bytes of a float32 array in C order.
pub fn write(tensor: &Tensor) -> Result<Vec<u8>> {
    let shape: Vec<u64> = tensor.shape().iter().map(|&extent| extent as u64).collect();
    let mut bytes = vec![];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
    writer.extend(tensor.data().iter())?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_a_round_trip() {
        let tensor = Tensor::new([2, 3], vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE, 5.0, f32::INFINITY]).unwrap();
        assert_eq!(doconv::formats::read_npy(&write(&tensor).unwrap()).unwrap(), tensor);
    }
}
