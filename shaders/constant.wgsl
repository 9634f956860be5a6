// A constant map, as often as the result has it: four channels of a pixel per invocation.
//
// Grid: x over the vectors of the constant, y over its copies.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> constant: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.vectors {
        return;
    }
    output[id.y * p.vectors + id.x] = {{ narrow4 }}(constant[id.x]);
}
