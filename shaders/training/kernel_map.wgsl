// A kernel as the map [out, in-group inputs, kernel rows, kernel columns].
//
// Grid: x over the elements of the map (as vec4).
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
// [tap][input channel within the group][output]
@group(0) @binding(1) var<storage, read> kernel: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    let tap = at % p.taps;
    let slice = at / p.taps % p.in_slices;
    let o = at / p.taps / p.in_slices;
    let j = min(vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.group_inputs - 1u));
    let place = (tap * p.row_inputs + j) * p.row_outputs + o;
    let value = vec4<{{ stored }}>(kernel[place.x], kernel[place.y], kernel[place.z], kernel[place.w]);
    output[at] = {{ narrow4 }}(used_lanes({{ widen4 }}(value), slice, p.group_inputs));
}
