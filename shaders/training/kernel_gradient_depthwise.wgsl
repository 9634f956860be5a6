// The gradient of the kernel of a convolution with one input channel per group, summed over one part of the pixels:
// {{ taps }} taps of four outputs in the registers of one invocation.
{% if multiplier %}
// Several outputs share an input channel: inputs are read one by one.
{% else %}
// Every output has an input channel of its own: slices of inputs and outputs correspond.
{% endif %}
//
// Grid: x over output slices × tiles of taps, y over parts of the pixels.
{% include "common/map.wgsl" %}
{% include "training/kernel_gradient_bindings.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let taps = p.kernel_height * p.kernel_width;
    let tap_tiles = (taps + {{ taps - 1 }}u) / {{ taps }}u;
    let slice = id.x / tap_tiles;
    let first_tap = id.x % tap_tiles * {{ taps }}u;
    let part = id.y;
    if slice >= p.out_slices || part >= p.parts {
        return;
    }
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
{% if multiplier %}
    // Outputs beyond the last read the last input.
    let output_channel = vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let channel = min(output_channel / p.group_outputs, vec4<u32>(p.groups - 1u));
    let one_channel = channel.x == channel.w;
    let base = channel / 4u * in_area;
    let component = channel % 4u;
{% endif %}
{% for k in range(taps) %}
    let tap{{ k }} = min(first_tap + {{ k }}u, taps - 1u);
    let down{{ k }} = i32(tap{{ k }} / p.kernel_width * p.dilation_y) - i32(p.pad_top);
    let right{{ k }} = i32(tap{{ k }} % p.kernel_width * p.dilation_x) - i32(p.pad_left);
    var sum{{ k }} = vec4<f32>();
{% endfor %}

    var pixel = part * p.part_pixels;
    let end = min(pixel + p.part_pixels, p.pixels);
    while pixel < end {
        let image = pixel / out_area;
        let place = pixel % out_area;
        let out_x = place % p.out_width;
        let row = i32(place / p.out_width * p.stride_y);
        let count = min(end - pixel, p.out_width - out_x);
        let from_gradient = (image * p.out_slices + slice) * out_area + place;
{% if multiplier %}
        let map = image * p.in_slices * in_area;
{% else %}
        let map = (image * p.in_slices + slice) * in_area;
{% endif %}
{% for k in range(taps) %}
        let y{{ k }} = u32(row + down{{ k }});
        let row_inside{{ k }} = y{{ k }} < p.in_height;
        let line{{ k }} = map + select(0u, y{{ k }} * p.in_width, row_inside{{ k }});
{% endfor %}
        var left = i32(out_x * p.stride_x);
        for (var i = 0u; i < count; i++) {
            let gradient = grad_output[from_gradient + i];
{% for k in range(taps) %}
            let x{{ k }} = u32(left + right{{ k }});
            let inside{{ k }} = row_inside{{ k }} && x{{ k }} < p.in_width;
            let at{{ k }} = line{{ k }} + select(0u, x{{ k }}, inside{{ k }});
{% if multiplier %}
            var value{{ k }} = vec4<f32>(input[(at{{ k }} + base.x) * 4u + component.x]);
            if !one_channel {
                value{{ k }}.y = input[(at{{ k }} + base.y) * 4u + component.y];
                value{{ k }}.z = input[(at{{ k }} + base.z) * 4u + component.z];
                value{{ k }}.w = input[(at{{ k }} + base.w) * 4u + component.w];
            }
            sum{{ k }} += gradient * select(vec4<f32>(), value{{ k }}, inside{{ k }});
{% else %}
            sum{{ k }} += gradient * select(vec4<f32>(), input[at{{ k }}], inside{{ k }});
{% endif %}
{% endfor %}
            left += i32(p.stride_x);
        }
        pixel += count;
    }

{% for lane in range(4) %}
    if slice * 4u + {{ lane }}u < p.outputs {
{% for k in range(taps) %}
        if first_tap + {{ k }}u < taps {
            store(part, slice * 4u + {{ lane }}u, 0u, tap{{ k }}, vec4<f32>(sum{{ k }}.{{ "xyzw"[lane] }}, 0.0, 0.0, 0.0));
        }
{% endfor %}
    }
{% endfor %}
}
