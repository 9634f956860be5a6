//! What convolutions bind.

use crate::gpu::shader::Resource;
use crate::plan::Conv;

/// What the last shader of a convolution binds to store the result. Something has to be bound as the residual even if there is
/// none.
pub fn stored(step: &Conv) -> [(u32, Resource); 3] {
    let residual = step.residual.unwrap_or(step.input);
    [(3, Resource::Bias(step.kernel)), (4, Resource::Map(step.output)), (5, Resource::Map(residual))]
}
