//! Shaders in every precision: one template gives all of them.
//!
//! Templates say `{{ stored }}` for the type of numbers in maps and kernels, and put conversions around every load and store.
//! In single precision these are empty, so that the code is that of a template without them. For browsers, `build.rs` has put
//! in what single precision has to say.

use minijinja::{Value, context};

use super::shader::{Scalar, Shader};
use crate::Precision;

/// A shader in a precision: the key of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The shader.
    pub shader: Shader,
    /// What of a precision it has: see [`Variant::new`].
    pub precision: Precision,
}

impl From<Shader> for Variant {
    /// In single precision.
    fn from(shader: Shader) -> Self {
        Self { shader, precision: Precision::F32 }
    }
}

impl Variant {
    /// What there is of a shader for a precision. Convolutions have them all; what else reads or writes maps and kernels
    /// computes in single precision, whatever these are stored in; and gradients, Winograd's products, and what sees no maps
    /// have nothing else.
    pub fn new(shader: Shader, wanted: Precision) -> Self {
        let precision = match shader {
            Shader::ConvDirect { .. } | Shader::ConvTiled { .. } | Shader::ConvDepthwise { .. } => wanted,
            // Matrix units multiply in half precision and add in single.
            #[cfg(not(target_arch = "wasm32"))]
            Shader::ConvCooperative { .. } => Precision::F16Storage,
            Shader::WinogradProduct { .. }
            | Shader::WinogradProductTiled { .. }
            | Shader::KernelGradientDirect { .. }
            | Shader::KernelGradientTiled { .. }
            | Shader::KernelGradientDepthwise { .. }
            | Shader::KernelGradientGrouped { .. }
            | Shader::BiasGradient
            | Shader::SumParts
            | Shader::ComposeGradient { .. }
            | Shader::TransposeKernel
            | Shader::PadGradient { .. }
            | Shader::ResampleRows
            | Shader::PeakFma { .. }
            | Shader::PeakCopy
            | Shader::PeakCount => Precision::F32,
            #[cfg(training)]
            Shader::Train(_) => Precision::F32,
            _ => wanted.without_half_sums(),
        };
        Self { shader, precision }
    }

    /// The complete WGSL module, with entry point `main`.
    pub fn wgsl(&self) -> String {
        let wgsl = self.shader.render(self.numbers());
        match self.shader {
            _ if self.precision == Precision::F32 => wgsl,
            Shader::ConvCooperative { .. } => format!("enable f16;\nenable wgpu_cooperative_matrix;\n{wgsl}"),
            _ => format!("enable f16;\n{wgsl}"),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn numbers(&self) -> Value {
        context! {}
    }

    /// What templates want to know of a precision.
    #[cfg(not(target_arch = "wasm32"))]
    fn numbers(&self) -> Value {
        let stored = self.precision.storage();
        let half_sums = self.precision.has_half_sums();
        let loaded = if half_sums { Scalar::F16 } else { Scalar::F32 };
        // From what is stored to what is computed with, and back; `4` for vectors.
        let conversion = |there: bool, name: &'static str| if there { name } else { "" };
        let half = stored == Scalar::F16;
        context! {
            stored => stored.name(),
            widen => conversion(half, "f32"),
            widen4 => conversion(half, "vec4<f32>"),
            narrow => conversion(half, "f16"),
            narrow4 => conversion(half, "vec4<f16>"),
            // The same for the operands of products.
            loaded => loaded.name(),
            load4 => conversion(half && !half_sums, "vec4<f32>"),
            half_sums,
            sum => if half_sums { "part" } else { "sum" },
            block_slices => Precision::TERMS / 4,
        }
    }
}

impl Precision {
    /// What maps and kernels consist of.
    pub fn storage(self) -> Scalar {
        self.pick([Scalar::F32, Scalar::F16, Scalar::F16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::shader::ActivationClass;

    #[test]
    fn what_computes_nothing_in_half_precision_is_one_pipeline() {
        let shader = Shader::Softmax { logarithm: false };
        assert_eq!(Variant::new(shader, Precision::F16), Variant::new(shader, Precision::F16Storage));
        assert_eq!(Variant::new(Shader::SumParts, Precision::F16), Shader::SumParts.into());
        let activation = ActivationClass::Bounds;
        let conv = Shader::ConvTiled { slices: 1, lanes: 4, split: false, activation };
        let [exact, stored, half] = Precision::ALL.map(|precision| Variant::new(conv, precision).wgsl());
        assert!(!exact.contains("f16") && stored.contains("enable f16;") && stored != half);
        assert!(stored.contains("var<workgroup> values: array<vec4<f32>") && half.contains("values: array<vec4<f16>"));
    }
}
