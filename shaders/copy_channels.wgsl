// Copies all channels of a map to channels `first_channel` and on of another of the same size: one part of a
// concatenation. One pixel and four output channels per invocation, of which those that are not this part's stay.
//
// Grid: x over pixels, y over the output slices touched, z over the batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = p.first_channel / 4u + id.y;
    let end = p.first_channel + p.channels;
    if id.x >= p.area || slice * 4u >= end {
        return;
    }
    let at = (id.z * p.out_slices + slice) * p.area + id.x;
    var value = output[at];
    for (var lane = 0u; lane < 4u; lane++) {
        let channel = slice * 4u + lane;
        if channel >= p.first_channel && channel < end {
            let c = channel - p.first_channel;
            value[lane] = input[((id.z * p.in_slices + c / 4u) * p.area + id.x) * 4u + c % 4u];
        } else if channel >= p.out_channels {
            value[lane] = 0.0;
        }
    }
    output[at] = value;
}
