// Convolution with any groups: one pixel and four output channels per invocation, each of which may belong to another
// group. The fallback where groups do not consist of whole slices, and for channel multipliers.
//
// Grid: x over pixels (batch, rows and columns as one), y over output slices.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ stored }}>;
// [tap][input channel within the group][slice of outputs]
@group(0) @binding(2) var<storage, read> kernel: array<vec4<{{ stored }}>>;
{% include "conv/store.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = id.y;
    if id.x >= p.pixels || slice >= p.out_slices {
        return;
    }
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let image = id.x / out_area;
    let place = id.x % out_area;
    let row = i32(place / p.out_width * p.stride_y) - i32(p.pad_top);
    let column = i32(place % p.out_width * p.stride_x) - i32(p.pad_left);
    let base = image * p.in_slices * in_area;
    // The first input channel of each of the four outputs. Outputs beyond the last are clamped to the last group.
    let output_channel = vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let first = min(output_channel / p.group_outputs, vec4<u32>(p.groups - 1u)) * p.group_inputs;
    let one_group = first.x == first.w;

    var sum = vec4<f32>();
    var weights = slice;
    for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
        for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
            let y = u32(row + i32(tap_y * p.dilation_y));
            let x = u32(column + i32(tap_x * p.dilation_x));
            if y < p.in_height && x < p.in_width {
                let pixel = base + y * p.in_width + x;
                for (var j = 0u; j < p.group_inputs; j++) {
                    let c = first + j;
                    let at = (pixel + c / 4u * in_area) * 4u + c % 4u;
                    var value = vec4<f32>({{ widen }}(input[at.x]));
                    if !one_group {
                        value = vec4<f32>(value.x, {{ widen }}(input[at.y]), {{ widen }}(input[at.z]), {{ widen }}(input[at.w]));
                    }
                    sum += value * {{ widen4 }}(kernel[weights + j * p.out_slices]);
                }
            }
            weights += p.group_inputs * p.out_slices;
        }
    }
    store(sum, slice, (image * p.out_slices + slice) * out_area + place);
}
