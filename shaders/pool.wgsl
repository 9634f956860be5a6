// Maximum or mean over windows: one pixel and four channels per invocation. A maximum is NaN where a value of its window is.
//
// Grid: x over output pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

{% if kind == "max" %}
{% include "common/number.wgsl" %}

{% endif %}
@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let map = id.y;
    if id.x >= p.out_height * p.out_width || map >= p.maps {
        return;
    }
    let row = i32(id.x / p.out_width * p.stride_y) - i32(p.pad_top);
    let column = i32(id.x % p.out_width * p.stride_x) - i32(p.pad_left);
    let base = map * p.in_height * p.in_width;
{% if kind == "max" %}
    // It begins with a value of the window, because all of them may be −∞, which WGSL cannot write down.
    var result = vec4<f32>();
    var is_first = true;
    var largest_bits = vec4<u32>();
{% else %}
    var result = vec4<f32>();
    var count = 0u;
{% endif %}
    for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
        for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
            let signed_y = row + i32(tap_y * p.dilation_y);
            let signed_x = column + i32(tap_x * p.dilation_x);
            let y = u32(signed_y);
            let x = u32(signed_x);
            if y < p.in_height && x < p.in_width {
                let value = {{ widen4 }}(input[base + y * p.in_width + x]);
{% if kind == "max" %}
                result = select(max(result, value), value, is_first);
                is_first = false;
                largest_bits = max(largest_bits, magnitude_bits(value));
{% else %}
                result += value;
{% if kind == "mean_inside" %}
                count++;
{% endif %}
{% endif %}
            }
{% if kind == "mean_padded" %}
            // Padding counts, but not what a window rounded up reaches beyond it.
            if signed_y < i32(p.in_height + p.pad_bottom) && signed_x < i32(p.in_width + p.pad_right) {
                count++;
            }
{% endif %}
        }
    }
{% if kind == "max" %}
    let largest = bitcast<vec4<f32>>(largest_bits);
    result = select(result, largest, is_nan(largest));
{% else %}
    result /= f32(max(count, 1u));
{% endif %}
    output[map * p.out_height * p.out_width + id.x] = {{ narrow4 }}(result);
}
