{{ params }}
@group(0) @binding(0) var<uniform> p: Params;

// Grids with more workgroups along an axis than WebGPU allows are dispatched in parts; this is where the part begins.
fn first_group() -> vec3<u32> {
    return vec3<u32>(p.first_group_x, p.first_group_y, p.first_group_z);
}
