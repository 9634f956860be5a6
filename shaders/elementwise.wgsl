// An element-wise function of one map, or of two of which the second may be 1×1 and is then repeated over the pixels of
// the first; then an activation. One pixel and four channels per invocation.
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
{% if operator %}
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
{% endif %}
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

{% include "common/activation.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let at = id.y * p.area + id.x;
{% if operator %}
    output[at] = activate(a[at] {{ operator }} b[id.y * p.b_area + min(id.x, p.b_area - 1u)]);
{% else %}
    output[at] = activate(a[at]);
{% endif %}
}
