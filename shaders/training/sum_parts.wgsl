// The sum of several maps that lie one behind the other, always in the same order: the second pass of every sum that is
// split over many invocations.
//
// Grid: x over the elements of a map (as vec4).
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    var sum = vec4<f32>();
    for (var part = 0u; part < p.parts; part++) {
        sum += parts[part * p.length + at];
    }
    output[at] = sum;
}
