// The gradient of what was pooled ({{ kind }}): one pixel and four channels per invocation, which looks at all windows that the
// pixel is in.
//
// Grid: x over pixels of the input, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad_output: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

{% if kind == "max" %}
{% include "common/number.wgsl" %}

{% endif %}
// The share that this pixel, which a window has at `own`, gets of the window's gradient.
fn share(base: u32, row: i32, column: i32, own: u32) -> vec4<f32> {
{% if kind == "max" %}
    var best = vec4<f32>();
    var winner = vec4<u32>(0xffffffffu);
{% else %}
    var count = 0u;
{% endif %}
    for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
        for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
            let signed_y = row + i32(tap_y * p.dilation_y);
            let signed_x = column + i32(tap_x * p.dilation_x);
            let y = u32(signed_y);
            let x = u32(signed_x);
{% if kind == "mean_padded" %}
            // As for pooling itself.
            if signed_y < i32(p.in_height + p.pad_bottom) && signed_x < i32(p.in_width + p.pad_right) {
                count++;
            }
{% else %}
            if y < p.in_height && x < p.in_width {
{% if kind == "max" %}
                let value = input[base + y * p.in_width + x];
                // The first NaN wins, and keeps what it has won.
                let is_larger = !is_nan(best) & ((value > best) | is_nan(value));
                let wins = is_larger | (winner == vec4<u32>(0xffffffffu));
                best = select(best, value, wins);
                winner = select(winner, vec4<u32>(tap_y * p.kernel_width + tap_x), wins);
{% else %}
                count++;
{% endif %}
            }
{% endif %}
        }
    }
{% if kind == "max" %}
    return select(vec4<f32>(), vec4<f32>(1.0), winner == vec4<u32>(own));
{% else %}
    return vec4<f32>(1.0 / f32(max(count, 1u)));
{% endif %}
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let area = p.in_height * p.in_width;
    if id.x >= area || id.y >= p.maps {
        return;
    }
    let base = id.y * area;
    let out_base = id.y * p.out_height * p.out_width;
    var sum = vec4<f32>();
    for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
        let down = i32(id.x / p.in_width + p.pad_top) - i32(tap_y * p.dilation_y);
        let y = u32(max(down, 0)) / p.stride_y;
        if down < 0 || u32(down) % p.stride_y != 0u || y >= p.out_height {
            continue;
        }
        for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
            let right = i32(id.x % p.in_width + p.pad_left) - i32(tap_x * p.dilation_x);
            let x = u32(max(right, 0)) / p.stride_x;
            if right < 0 || u32(right) % p.stride_x != 0u || x >= p.out_width {
                continue;
            }
            let row = i32(y * p.stride_y) - i32(p.pad_top);
            let column = i32(x * p.stride_x) - i32(p.pad_left);
            let own = tap_y * p.kernel_width + tap_x;
            sum += share(base, row, column, own) * grad_output[out_base + y * p.out_width + x];
        }
    }
    output[base + id.x] = sum;
}
