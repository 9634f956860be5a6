//! Stands in until the real one is merged.
use crate::network::{Node, Op};
use crate::{Model, Result};

/// `y = x · scale + shift` per channel.
pub(crate) struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

impl Model {
    /// Stub.
    pub fn fold_batch_norms(&self) -> Result<Model> {
        Ok(self.clone())
    }
    /// A batch norm as a scale and a shift per channel.
    pub(crate) fn batch_norm_affine(&self, node: &Node) -> Result<Affine> {
        let Op::BatchNorm(norm) = &node.op else { unreachable!() };
        let part = |part: &str| self.tensor(&format!("{}.{part}", node.name), &[norm.channels]);
        let (w, b, m, v) = (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
        let scale: Vec<f64> =
            w.data().iter().zip(v.data()).map(|(&w, &v)| f64::from(w) / (f64::from(v) + norm.eps).sqrt()).collect();
        let shift =
            b.data().iter().zip(m.data()).zip(&scale).map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s).collect();
        Ok(Affine { scale, shift })
    }
}
