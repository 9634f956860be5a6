//! The kernel of an input gradient's convolution, made from that of the convolution.

use crate::gpu::shader::{Dispatch, Kernel, KernelLayout, Precisions, Resource, params};
use crate::plan::{KernelId, KernelSource, Plan};
use crate::{Error, Result};

params! {
    /// Transposing a kernel; what begins with `from` is of the kernel that is transposed.
    TransposeParams {
        length: u32,
        outputs: u32, group_inputs: u32, group_outputs: u32, row_inputs: u32, row_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        from_row_inputs: u32, from_row_outputs: u32, from_height: u32, from_width: u32,
        stride_y: u32, stride_x: u32, dilation_y: u32, dilation_x: u32,
        reach_y: i32, reach_x: i32, step_y: i32, step_x: i32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "transpose_kernel",
    template: "training/transpose_kernel.wgsl",
    params: TransposeParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(plan: &Plan, id: KernelId) -> Result<Dispatch> {
    let kernel = plan.kernel(id);
    let KernelSource::Transposed(transposed) = &kernel.source else {
        return Err(Error::Unsupported(format!("{}: not the transposed kernel of another", kernel.name)));
    };
    let (conv, forward) = (&kernel.conv, &plan.kernel(transposed.of).conv);
    let (layout, from_layout) = (KernelLayout::of(conv), KernelLayout::of(forward));
    let [[reach_y, step_y], [reach_x, step_x]] =
        transposed.sub_pixel.reach().map(|axis| axis.map(|value| value as i32));
    let params = TransposeParams {
        length: layout.len() as u32,
        outputs: conv.out_channels as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: layout.row_outputs as u32,
        kernel_height: conv.kernel[0] as u32,
        kernel_width: conv.kernel[1] as u32,
        from_row_inputs: from_layout.row_inputs as u32,
        from_row_outputs: from_layout.row_outputs as u32,
        from_height: forward.kernel[0] as u32,
        from_width: forward.kernel[1] as u32,
        stride_y: forward.stride[0] as u32,
        stride_x: forward.stride[1] as u32,
        dilation_y: forward.dilation[0] as u32,
        dilation_x: forward.dilation[1] as u32,
        reach_y,
        reach_x,
        step_y,
        step_x,
    };
    let bindings = vec![(1, Resource::Kernel(transposed.of)), (2, Resource::Kernel(id))];
    Ok(Dispatch::new(&kernel.name, FAMILY.key([64, 1]), &params, bindings, [layout.len(), 1, 1]))
}
