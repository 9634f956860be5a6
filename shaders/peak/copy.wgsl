// What memory can do: every vector of one buffer into another.
//
// Grid: x over vectors.
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<u32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x < p.vectors {
        output[id.x] = input[id.x];
    }
}
