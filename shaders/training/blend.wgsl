// A state takes something up: a share of what it was, plus a share of the input, which may differ between two items.
//
// Grid: x over the elements of the state (as vec4).
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    state[at] = p.keep * state[at] + select(p.second, p.first, at < p.item) * input[at];
}
