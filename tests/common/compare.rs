//! Comparing what a runner gives with what the reference allows.

use doconv::Tensor;
use doconv::reference::Estimate;

/// The element that is furthest off, measured in tolerances.
#[derive(Clone, Debug)]
pub struct Offender {
    /// Which output of the network.
    pub output: usize,
    /// Batch, channel, row, column.
    pub index: [usize; 4],
    /// What the runner says.
    pub got: f32,
    /// What the reference says.
    pub want: f64,
    /// How far they may be apart.
    pub tolerance: f64,
    /// How far they are apart, in tolerances; infinite if `got` is not finite.
    pub ratio: f64,
}

/// Compares all outputs; gives the worst element, or says what is wrong.
pub fn compare(got: &[Tensor], want: &[Estimate]) -> Result<Option<Offender>, String> {
    if got.len() != want.len() {
        return Err(format!("{} outputs where {} are wanted", got.len(), want.len()));
    }
    let mut worst: Option<Offender> = None;
    for (output, (got, want)) in got.iter().zip(want).enumerate() {
        if got.shape() != want.value.shape {
            return Err(format!("output {output}: shape {:?} where {:?} is wanted", got.shape(), want.value.shape));
        }
        for (flat, (&got, &value)) in got.data().iter().zip(&want.value.data).enumerate() {
            let tolerance = want.tolerance(flat);
            let distance = (f64::from(got) - value).abs() / tolerance;
            // A NaN anywhere, the reference included, must not pass for a small distance.
            let ratio = if distance.is_finite() && got.is_finite() { distance } else { f64::INFINITY };
            if worst.as_ref().is_none_or(|worst| ratio > worst.ratio) {
                let index = unflatten(flat, want.value.shape);
                worst = Some(Offender { output, index, got, want: value, tolerance, ratio });
            }
        }
    }
    match worst {
        Some(offender) if offender.ratio > 1.0 => Err(format!("{offender:?}")),
        worst => Ok(worst),
    }
}

fn unflatten(flat: usize, [_, c, h, w]: [usize; 4]) -> [usize; 4] {
    [flat / (c * h * w), flat / (h * w) % c, flat / w % h, flat % w]
}
