// Maximum or mean over all pixels: four channels per invocation. A maximum is NaN where a value is.
//
// Grid: x over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

{% if kind == "max" %}
{% include "common/number.wgsl" %}

{% endif %}
@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.maps {
        return;
    }
    let base = id.x * p.area;
    var result = {{ widen4 }}(input[base]);
{% if kind == "max" %}
    var largest_bits = magnitude_bits(result);
{% endif %}
    for (var pixel = 1u; pixel < p.area; pixel++) {
{% if kind == "max" %}
        let value = {{ widen4 }}(input[base + pixel]);
        result = max(result, value);
        largest_bits = max(largest_bits, magnitude_bits(value));
{% else %}
        result += {{ widen4 }}(input[base + pixel]);
{% endif %}
    }
{% if kind == "max" %}
    let largest = bitcast<vec4<f32>>(largest_bits);
    result = select(result, largest, is_nan(largest));
{% else %}
    result /= f32(p.area);
{% endif %}
    output[id.x] = {{ narrow4 }}(result);
}
