//! What is recorded into a submission.

use crate::gpu::shader::GridPart;

/// One dispatch of one part of a grid.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) groups: [u32; 3],
}

impl Command {
    pub(super) fn new(pipeline: wgpu::ComputePipeline, bind_group: wgpu::BindGroup, part: &GridPart) -> Self {
        Self { pipeline, bind_group, groups: part.groups }
    }
}

/// Records commands into a pass of their own.
pub(super) fn record(encoder: &mut wgpu::CommandEncoder, commands: &[Command]) {
    record_repeated(encoder, commands, 1);
}

/// The same, so many times in one pass.
pub(super) fn record_repeated(encoder: &mut wgpu::CommandEncoder, commands: &[Command], times: usize) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for command in (0..times).flat_map(|_| commands) {
        pass.set_pipeline(&command.pipeline);
        pass.set_bind_group(0, &command.bind_group, &[]);
        let [x, y, z] = command.groups;
        pass.dispatch_workgroups(x, y, z);
    }
}
