//! Preprocessing of images: resampled with Pillow's fixed-point arithmetic, first along rows, then along columns.

use crate::gpu::shader::{Kernel, Precisions, ShaderKey, params};
use crate::image::FRACTION_BITS;

params! {
    /// Resampling the rows of an image's square.
    RowParams { side: u32, width: u32, taps: u32 }
}

params! {
    /// Resampling its columns. `first` is where the result begins in the input map, in pixels.
    ColumnParams { width: u32, height: u32, taps: u32, first: u32 }
}

/// Resampling along rows.
pub static ROWS: Kernel = Kernel {
    name: "resample_rows",
    template: "preprocess/rows.wgsl",
    params: RowParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![rows()],
    ..Kernel::DEFAULT
};

/// Resampling along columns, and normalisation.
pub static COLUMNS: Kernel = Kernel {
    name: "resample_columns",
    template: "preprocess/columns.wgsl",
    params: ColumnParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![columns()],
    ..Kernel::DEFAULT
};

/// The key for rows.
pub fn rows() -> ShaderKey {
    ROWS.key([8, 8]).with("fraction_bits", FRACTION_BITS)
}

/// The key for columns.
pub fn columns() -> ShaderKey {
    COLUMNS.key([8, 8]).with("fraction_bits", FRACTION_BITS)
}
