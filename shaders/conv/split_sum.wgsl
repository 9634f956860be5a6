// The sums of a convolution that was split: their parts, always in the same order, then bias, residual and activation.
//
// Grid: x over the pixels of a map, y over maps (batch and output slices as one).
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
// A map for every part, one behind the other, in single precision whatever maps are stored in.
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
{% include "conv/store.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let area = p.out_height * p.out_width;
    if id.x >= area {
        return;
    }
    let at = id.y * area + id.x;
    var sum = vec4<f32>();
    for (var part = 0u; part < p.parts; part++) {
        sum += input[part * p.pixels * p.out_slices + at];
    }
    store(sum, id.y % p.out_slices, at);
}
