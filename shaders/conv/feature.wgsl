// Feature composition in one go: the depthwise convolution with D, which makes {{ columns }} of a channel's S maps at a time in registers,
// and the 1×1 convolution with W that adds them to {{ pixels }} pixels × {{ slices }} slices of four output channels. The maps in between
// are never written; every tile of outputs makes them anew.
//
// Grid: x over tiles of pixels (batch, rows and columns as one), y over tiles of output slices.
// Needs: groups of whole slices on both sides and whole tiles of slices in a group, or one group; S a multiple of {{ columns }}.
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}
// [tap][channel · S + s]
@group(0) @binding(6) var<storage, read> d: array<{{ stored }}>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let first_pixel = id.x * {{ pixels }}u;
    let first_slice = id.y * {{ slices }}u;
    if first_pixel >= p.pixels || first_slice >= p.out_slices {
        return;
    }
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let first_in_slice = first_slice / p.group_out_slices * p.group_in_slices;
    // Beyond the last slice or pixel the last one is computed again, and stored again.
{% for c in range(slices) %}
    let slice{{ c }} = min(first_slice + {{ c }}u, p.out_slices - 1u);
{% endfor %}
{% for i in range(pixels) %}
    let pixel{{ i }} = min(first_pixel + {{ i }}u, p.pixels - 1u);
    let image{{ i }} = pixel{{ i }} / out_area;
    let place{{ i }} = pixel{{ i }} % out_area;
    let row{{ i }} = i32(place{{ i }} / p.out_width * p.stride_y) - i32(p.pad_top);
    let column{{ i }} = i32(place{{ i }} % p.out_width * p.stride_x) - i32(p.pad_left);
{% for c in range(slices) %}
    var sum{{ i }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}

    for (var slice = 0u; slice < p.group_in_slices; slice++) {
{% for i in range(pixels) %}
        let base{{ i }} = (image{{ i }} * p.in_slices + first_in_slice + slice) * in_area;
{% endfor %}
        // Where D and W have the channels of this slice; those that do not exist meet zeros of D.
        let channel = vec4<u32>((first_in_slice + slice) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let there = channel < vec4<u32>(p.groups * p.group_inputs);
        let of_d = min(channel, vec4<u32>(p.groups * p.group_inputs - 1u)) * p.d_mul;
        let of_w = min(vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.group_inputs - 1u)) * p.d_mul;
        for (var s = 0u; s < p.d_mul; s += {{ columns }}u) {
{% for k in range(columns) %}
{% for i in range(pixels) %}
            var middle{{ i }}_{{ k }} = vec4<f32>();
{% endfor %}
{% endfor %}
            var from_d = 0u;
            for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
                for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
                    let down = i32(tap_y * p.dilation_y);
                    let right = i32(tap_x * p.dilation_x);
                    let at_d = of_d + from_d + s;
{% for k in range(columns) %}
                    let d{{ k }} = select(vec4<f32>(), {{ widen4 }}(vec4<{{ stored }}>(d[at_d.x + {{ k }}u], d[at_d.y + {{ k }}u], d[at_d.z + {{ k }}u], d[at_d.w + {{ k }}u])), there);
{% endfor %}
{% for i in range(pixels) %}
                    let y{{ i }} = u32(row{{ i }} + down);
                    let x{{ i }} = u32(column{{ i }} + right);
                    let inside{{ i }} = y{{ i }} < p.in_height && x{{ i }} < p.in_width;
                    let value{{ i }} = select(vec4<f32>(), {{ widen4 }}(input[base{{ i }} + select(0u, y{{ i }} * p.in_width + x{{ i }}, inside{{ i }})]), inside{{ i }});
{% for k in range(columns) %}
                    middle{{ i }}_{{ k }} += value{{ i }} * d{{ k }};
{% endfor %}
{% endfor %}
                    from_d += p.d_row;
                }
            }
{% for k in range(columns) %}
{% for lane in range(lanes) %}
{% for c in range(slices) %}
            let w{{ k }}_{{ lane }}_{{ c }} = {{ widen4 }}(kernel[(of_w.{{ "xyzw"[lane] }} + s + {{ k }}u) * p.out_slices + slice{{ c }}]);
{% for i in range(pixels) %}
            sum{{ i }}_{{ c }} += middle{{ i }}_{{ k }}.{{ "xyzw"[lane] }} * w{{ k }}_{{ lane }}_{{ c }};
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
        }
    }

{% for i in range(pixels) %}
{% for c in range(slices) %}
    store(sum{{ i }}_{{ c }}, slice{{ c }}, (image{{ i }} * p.out_slices + slice{{ c }}) * out_area + place{{ i }});
{% endfor %}
{% endfor %}
}
