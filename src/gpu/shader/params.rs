//! Uniform blocks, declared once for Rust and WGSL.

/// A uniform block: what a shader family gets as its parameters.
#[derive(Clone, Copy, Debug)]
pub struct UniformBlock {
    /// The WGSL struct `Params`.
    pub wgsl: &'static str,
    /// Bytes of what Rust writes, behind which the beginning of a part of the grid follows: three `u32`.
    pub bytes: usize,
}

/// Declares a uniform block of scalars as a Rust struct and as the WGSL struct `Params` with the same fields. Scalars are four
/// bytes on both sides, so the layouts agree. Behind them WGSL has where this part of the grid begins, which
/// [`Dispatch`](super::Dispatch) writes.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ident),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[allow(missing_docs)] // The names are the documentation; the shaders that read them say more.
        pub struct $name { $(pub $field: $type),* }

        impl $name {
            /// Its declaration.
            pub const BLOCK: $crate::gpu::shader::UniformBlock = $crate::gpu::shader::UniformBlock {
                wgsl: concat!(
                    "struct Params {\n",
                    $("    ", stringify!($field), ": ", stringify!($type), ",\n",)*
                    "    first_group_x: u32,\n    first_group_y: u32,\n    first_group_z: u32,\n}",
                ),
                bytes: size_of::<Self>(),
            };
        }
    };
}
pub(in crate::gpu) use params;
