// The gradient of the kernel of a convolution with any groups, summed over one part of the pixels: one output and {{ lanes }} input
// channels at one tap per invocation. The fallback where groups do not consist of whole slices.
//
// Grid: x over outputs × slices of in-group inputs × taps, y over parts of the pixels.
{% include "common/map.wgsl" %}
{% include "training/kernel_gradient_bindings.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let taps = p.kernel_height * p.kernel_width;
    let tap = id.x % taps;
    let slice = id.x / taps % p.group_in_slices;
    let output = id.x / taps / p.group_in_slices;
    let part = id.y;
    if output >= p.outputs || part >= p.parts {
        return;
    }
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let first = output / p.group_outputs * p.group_inputs + slice * 4u;
    let last = p.groups * p.group_inputs - 1u;
{% for lane in range(lanes) %}
    let channel{{ lane }} = min(first + {{ lane }}u, last);
    let base{{ lane }} = channel{{ lane }} / 4u * in_area;
    let component{{ lane }} = channel{{ lane }} % 4u;
{% endfor %}
    let down = i32(tap / p.kernel_width * p.dilation_y) - i32(p.pad_top);
    let right = i32(tap % p.kernel_width * p.dilation_x) - i32(p.pad_left);
    var sum = vec4<f32>();

    var pixel = part * p.part_pixels;
    let end = min(pixel + p.part_pixels, p.pixels);
    while pixel < end {
        let image = pixel / out_area;
        let place = pixel % out_area;
        let out_x = place % p.out_width;
        let y = u32(i32(place / p.out_width * p.stride_y) + down);
        let count = min(end - pixel, p.out_width - out_x);
        if y < p.in_height {
            let from_gradient = (image * p.out_slices + output / 4u) * out_area + place;
            let line = image * p.in_slices * in_area + y * p.in_width;
            var left = i32(out_x * p.stride_x) + right;
            for (var i = 0u; i < count; i++) {
                if u32(left) < p.in_width {
                    let at = line + u32(left);
                    let gradient = grad_output[(from_gradient + i) * 4u + output % 4u];
{% for lane in range(lanes) %}
                    sum.{{ "xyzw"[lane] }} += gradient * input[(at + base{{ lane }}) * 4u + component{{ lane }}];
{% endfor %}
                }
                left += i32(p.stride_x);
            }
        }
        pixel += count;
    }
    store(part, output, slice, tap, sum);
}
