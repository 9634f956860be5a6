{% if broadcast %}
// An element-wise function of two maps, which are repeated along the axes where they have the extent 1; then an
// activation. One pixel and four channels per invocation.
{% else %}
// An element-wise function of one map, or of two of which the second may be 1×1 and is then repeated over the pixels of
// the first; then an activation. One pixel and four channels per invocation.
{% endif %}
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> a: array<vec4<{{ stored }}>>;
{% if operator %}
@group(0) @binding(2) var<storage, read> b: array<vec4<{{ stored }}>>;
{% endif %}
@group(0) @binding(3) var<storage, read_write> output: array<vec4<{{ stored }}>>;

{% include "common/activation.wgsl" %}

{% if operator %}
fn combine(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
{% if operator == "prelu" %}
    return select(a, a * b, a < vec4<f32>());
{% else %}
    return a {{ operator }} b;
{% endif %}
}

{% endif %}
@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let at = id.y * p.area + id.x;
{% if broadcast %}
    let slice = id.y % p.slices;
    let item = id.y / p.slices % p.items;
    let element = id.y / p.slices / p.items;
    let row = id.x / p.width;
    let column = id.x % p.width;
{% for side in ["a", "b"] %}
    var {{ side }}_value = {{ widen4 }}({{ side }}[element * p.{{ side }}_element + item * p.{{ side }}_item + slice * p.{{ side }}_slice + row * p.{{ side }}_row + column * p.{{ side }}_column]);
    if p.{{ side }}_single != 0u {
        {{ side }}_value = {{ side }}_value.xxxx;
    }
{% endfor %}
    let value = activate(combine(a_value, b_value));
{% elif operator %}
    let value = activate(combine({{ widen4 }}(a[at]), {{ widen4 }}(b[id.y * p.b_area + min(id.x, p.b_area - 1u)])));
{% else %}
    let value = activate({{ widen4 }}(a[at]));
{% endif %}
    output[at] = {{ narrow4 }}(used_lanes(value, id.y % p.slices, p.channels));
}
