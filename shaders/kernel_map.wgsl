// A kernel as the map [out, in-group inputs, kernel rows, kernel columns].
//
// Grid: x and y over the elements of the map (as vec4), in rows of p.row.
{% include "common/map.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
// [tap][input channel within the group][output]
@group(0) @binding(1) var<storage, read> kernel: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row + id.x;
    if id.x >= p.row || at >= p.length {
        return;
    }
    let tap = at % p.taps;
    let slice = at / p.taps % p.in_slices;
    let o = at / p.taps / p.in_slices;
    // Beyond the last input of the group the last one is repeated; no one reads that.
    let j = min(vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.group_inputs - 1u));
    let place = (tap * p.row_inputs + j) * p.row_outputs + o;
    output[at] = vec4<{{ stored }}>(kernel[place.x], kernel[place.y], kernel[place.z], kernel[place.w]);
}
