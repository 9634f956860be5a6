// Depthwise convolution, {{ kernel[0] }}×{{ kernel[1] }} taps: {{ outputs }} neighbouring pixels of a row and four channels per invocation. An input
// column that several of the pixels need is loaded once per tap row.
//
// Grid: x over tiles of pixels (rows × tiles of a row), y over slices × batch.
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}
{% set columns = (outputs - 1) * stride_x + (kernel[1] - 1) * dilation_x + 1 %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let tiles = (p.out_width + {{ outputs - 1 }}u) / {{ outputs }}u;
    let map = id.y;
    if id.x >= tiles * p.out_height || map >= p.maps {
        return;
    }
    let out_y = id.x / tiles;
    let out_x = id.x % tiles * {{ outputs }}u;
    let slice = map % p.out_slices;
    let base = map * p.in_height * p.in_width;
    let row = i32(out_y * p.stride_y) - i32(p.pad_top);
    let column = i32(out_x * {{ stride_x }}u) - i32(p.pad_left);
{% for i in range(columns) %}
    let column{{ i }} = u32(column + {{ i }});
    let inside{{ i }} = column{{ i }} < p.in_width;
{% endfor %}
{% for i in range(outputs) %}
    var sum{{ i }} = vec4<f32>();
{% endfor %}
    for (var tap_y = 0u; tap_y < {{ kernel[0] }}u; tap_y++) {
        let y = u32(row + i32(tap_y * p.dilation_y));
        if y < p.in_height {
            let line = base + y * p.in_width;
            let weights = tap_y * {{ kernel[1] }}u * p.out_slices + slice;
{% for i in range(columns) %}
            let value{{ i }} = select(vec4<{{ loaded }}>(), {{ load4 }}(input[line + select(0u, column{{ i }}, inside{{ i }})]), inside{{ i }});
{% endfor %}
{% if half_sums %}
            // Half precision has the bits for sums of a row only.
{% for i in range(outputs) %}
            var part{{ i }} = vec4<f16>();
{% endfor %}
{% endif %}
{% for tap in range(kernel[1]) %}
            let w{{ tap }} = {{ load4 }}(kernel[weights + {{ tap }}u * p.out_slices]);
{% for i in range(outputs) %}
            {{ sum }}{{ i }} += value{{ i * stride_x + tap * dilation_x }} * w{{ tap }};
{% endfor %}
{% endfor %}
{% if half_sums %}
{% for i in range(outputs) %}
            sum{{ i }} += vec4<f32>(part{{ i }});
{% endfor %}
{% endif %}
        }
    }
    let at = (map * p.out_height + out_y) * p.out_width + out_x;
{% for i in range(outputs) %}
    if out_x + {{ i }}u < p.out_width {
        store(sum{{ i }}, slice, at + {{ i }}u);
    }
{% endfor %}
}
