//! The parameters of every shader family, declared once for Rust and WGSL.

use bytemuck::{Pod, Zeroable};

/// Declares a uniform block of scalars as a Rust struct and as the WGSL struct `Params` with the same fields. Scalars
/// are four bytes on both sides, so the layouts agree.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ident),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        #[allow(missing_docs)] // The names are the documentation; the shaders that read them say more.
        pub struct $name { $(pub $field: $type),* }

        impl $name {
            /// The WGSL declaration.
            pub const WGSL: &str = concat!("struct Params {\n", $("    ", stringify!($field), ": ", stringify!($type), ",\n"),*, "}");
        }
    };
}

params! {
    /// All convolutions. Sizes are in pixels, slices (of four channels) or channels as the names say; a split sum has
    /// `parts`, of `part_slices` input slices each; `residual` says whether there is one.
    Conv {
        pixels: u32, maps: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32, group_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
        parts: u32, part_slices: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

params! {
    /// What Winograd's transformations need to know; their tiles are those of all images together, of one, and of a row.
    Winograd {
        tiles: u32, image_tiles: u32, row_tiles: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32,
        pad_top: u32, pad_left: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

#[cfg(training)]
mod training {
    use super::{Pod, Zeroable};

    params! {
        /// Parameters that become a kernel; `slices` are those of the parameters' channels.
        Load {
            row: u32, length: u32, slices: u32, taps: u32, inputs: u32, outputs: u32,
            row_inputs: u32, row_outputs: u32, d_mul: u32,
        }
    }

    params! {
        /// What batch norms sum up over parts of the pixels.
        NormSums { pixels: u32, part_pixels: u32, parts: u32, area: u32, slices: u32, eps: f32 }
    }

    params! {
        /// Batch norms with given statistics.
        Normalise { maps: u32, area: u32, slices: u32, residual: u32, eps: f32, lower: f32, upper: f32 }
    }

    params! {
        /// The way back through them; statistics were those of `count` values.
        NormGradient { maps: u32, area: u32, slices: u32, eps: f32, count: f32 }
    }

    params! {
        /// Logits of an item begin `stride` behind those of the one before.
        CrossEntropy { items: u32, classes: u32, stride: u32 }
    }

    params! {
        /// An item of the state has `item` vectors.
        Blend { row: u32, length: u32, item: u32, keep: f32, first: f32, second: f32 }
    }

    params! {
        /// Sums along axes. An output has so many `items`, `rows` and `columns` of the input; `maps`, `area`, `width` and
        /// `slices` are its own.
        Reduce {
            maps: u32, area: u32, width: u32, slices: u32, items: u32, rows: u32, columns: u32,
            in_height: u32, in_width: u32, in_slices: u32, in_channels: u32,
        }
    }

    params! {
        /// A sum of squares: of a map's `length` vectors, in `parts` of which the first is stored at `first`; or of `length`
        /// parts.
        SquareSum { length: u32, area: u32, slices: u32, channels: u32, parts: u32, first: u32 }
    }

    params! {
        /// Arenas that are added up.
        Accumulate { row: u32, length: u32 }
    }

    params! {
        /// So many vectors of the parameters decay.
        Update { row: u32, length: u32, decayed: u32 }
    }
}
#[cfg(training)]
pub use training::*;

params! {
    /// Kernels to be transformed: `length` is that of one tap of all of them, in vectors.
    WinogradKernel { row: u32, length: u32 }
}

params! {
    /// Feature composition: the depthwise convolution's geometry, and the layer's groups. Rows of D are `d_row` long.
    ConvFeature {
        pixels: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
        d_mul: u32, d_row: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

params! {
    /// Kernel composition. Rows are those of the kernel with its padding to whole slices. Outputs are
    /// counted in vectors where the shader has them.
    Compose {
        row: u32, length: u32,
        inputs: u32, outputs: u32, group_inputs: u32, group_outputs: u32, d_mul: u32, row_inputs: u32, row_outputs: u32,
    }
}

params! {
    /// Pooling over windows.
    Pool {
        maps: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32,
        kernel_height: u32, kernel_width: u32, stride_y: u32, stride_x: u32,
        pad_top: u32, pad_left: u32, pad_bottom: u32, pad_right: u32, dilation_y: u32, dilation_x: u32,
    }
}

params! {
    /// Pooling over whole maps.
    GlobalPool { maps: u32, area: u32 }
}

params! {
    /// Element-wise functions.
    Elementwise { maps: u32, area: u32, b_area: u32, lower: f32, upper: f32 }
}

params! {
    /// One part of a concatenation.
    CopyChannels {
        area: u32, in_slices: u32, out_slices: u32, out_channels: u32, first_channel: u32, channels: u32,
    }
}

params! {
    /// An element-wise function of two maps with repetition. Strides are in vectors, 0 along repeated axes.
    Broadcast {
        maps: u32, area: u32, items: u32, slices: u32, width: u32,
        a_element: u32, a_item: u32, a_slice: u32, a_row: u32, a_column: u32, a_single: u32,
        b_element: u32, b_item: u32, b_slice: u32, b_row: u32, b_column: u32, b_single: u32,
        lower: f32, upper: f32,
    }
}

params! {
    /// A constant map.
    Constant { vectors: u32 }
}

params! {
    /// A strided view. Strides are in elements.
    Rearrange {
        maps: u32, area: u32, items: u32, slices: u32, channels: u32, width: u32,
        in_items: u32, in_channels: u32, in_slices: u32, in_area: u32,
        offset: u32,
        item_inner: u32, item_outer_stride: i32, item_inner_stride: i32,
        channel_inner: u32, channel_outer_stride: i32, channel_inner_stride: i32,
        row_inner: u32, row_outer_stride: i32, row_inner_stride: i32,
        column_inner: u32, column_outer_stride: i32, column_inner_stride: i32,
    }
}

params! {
    /// Values around a map.
    Pad {
        maps: u32, area: u32, items: u32, slices: u32, channels: u32, width: u32,
        in_items: u32, in_channels: u32, in_height: u32, in_width: u32,
        before_item: u32, before_channel: u32, before_row: u32, before_column: u32,
        value: f32,
    }
}

params! {
    /// Interpolation.
    Resize { maps: u32, area: u32, width: u32, in_height: u32, in_width: u32, taps: u32 }
}

params! {
    /// Local response normalisation.
    Lrn { maps: u32, area: u32, channels: u32, before: u32, behind: u32, factor: f32, beta: f32, k: f32 }
}

params! {
    /// Softmax over channels.
    Softmax { area: u32, channels: u32 }
}

params! {
    /// Resampling the rows of a photograph's square.
    ResampleRows { side: u32, width: u32, taps: u32 }
}

params! {
    /// Resampling its columns. `first` is where the result begins in the input map, in pixels.
    ResampleColumns { width: u32, height: u32, taps: u32, first: u32 }
}

params! {
    /// The best classes. Classes are the values of a map in NCHW order.
    TopK { classes: u32, slices: u32, area: u32, best: u32 }
}

params! {
    /// Kernel gradients, summed over parts of `part_pixels` output pixels. `length` is that of the gradient, in `vec4`.
    KernelGradient {
        pixels: u32, part_pixels: u32, parts: u32, length: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32, outputs: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32, group_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
    }
}

params! {
    /// The second pass of a split sum.
    SumParts { row: u32, length: u32, parts: u32 }
}

params! {
    /// Bias gradients, summed over parts of `part_pixels` pixels.
    BiasGradient { pixels: u32, part_pixels: u32, parts: u32, area: u32, slices: u32 }
}

params! {
    /// Gradients of W and D. Sums over outputs are split into parts of `part_terms`.
    ComposeGradient {
        row: u32, length: u32, part_terms: u32,
        inputs: u32, outputs: u32, group_inputs: u32, group_outputs: u32, in_slices: u32, d_mul: u32, taps: u32,
    }
}

params! {
    /// Transposing a kernel; what begins with `from` is of the kernel that is transposed.
    TransposeKernel {
        row: u32, length: u32,
        outputs: u32, group_inputs: u32, group_outputs: u32, row_inputs: u32, row_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        from_row_inputs: u32, from_row_outputs: u32, from_height: u32, from_width: u32,
        stride_y: u32, stride_x: u32, dilation_y: u32, dilation_x: u32,
        reach_y: i32, reach_x: i32, step_y: i32, step_x: i32,
    }
}

params! {
    /// A kernel as a map.
    KernelMap {
        row: u32, length: u32, taps: u32, in_slices: u32, group_inputs: u32, row_inputs: u32, row_outputs: u32,
    }
}

params! {
    /// Gradients of padding.
    PadGradient {
        maps: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32, before_row: u32, before_column: u32,
    }
}

params! {
    /// Chains for benchmarks: how often they are run, and what they multiply by and add.
    PeakFma { rounds: u32, factor: f32, term: f32 }
}
