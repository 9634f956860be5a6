// The residues of a strided input gradient put together: pixel i of an axis is that of residue (i + offset) mod stride at
// place (i + offset) div stride. The channels of the input are, in every group, residue × channel of the output's group.
//
// Grid: x over pixels of the output, y over slices × batch.
{% include "common/map.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let area = p.out_height * p.out_width;
    if id.x >= area || id.y >= p.maps {
        return;
    }
    let y = id.x / p.out_width + p.offset_y;
    let x = id.x % p.out_width + p.offset_x;
    let residue = y % p.stride_y * p.stride_x + x % p.stride_x;
    let in_area = p.in_height * p.in_width;
    let pixel = y / p.stride_y * p.in_width + x / p.stride_x;
    // Beyond the last channel the last one is repeated.
    let lanes = vec4<u32>(id.y % p.out_slices * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let c = min(lanes, vec4<u32>(p.channels - 1u));
    let residues = p.stride_y * p.stride_x;
    let from = c / p.group_channels * (residues * p.group_channels) + residue * p.group_channels + c % p.group_channels;
    let at = ((id.y / p.out_slices * p.in_slices + from / 4u) * in_area + pixel) * 4u + from % 4u;
    output[id.y * area + id.x] = vec4<f32>(input[at.x], input[at.y], input[at.z], input[at.w]);
}
