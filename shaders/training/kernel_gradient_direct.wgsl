// The gradient of a convolution's kernel as an implicit matrix product: output channels × (in-group input channels ×
// taps), summed over one part of the pixels. {{ slices }} slices of four outputs × {{ columns }} columns of four inputs at a tap in the
// registers of one invocation, no workgroup memory and no barriers.
//
// For software adapters. Grid: x over tiles (of output slices × of columns), y over parts of the pixels.
// Needs: groups of whole slices on both sides and whole tiles of slices in a group, or one group.
{% include "common/map.wgsl" %}
{% include "training/kernel_gradient_bindings.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let columns = p.kernel_height * p.kernel_width * p.group_in_slices;
    let column_tiles = (columns + {{ columns - 1 }}u) / {{ columns }}u;
    let first_slice = id.x / column_tiles * {{ slices }}u;
    let first_column = id.x % column_tiles * {{ columns }}u;
    let part = id.y;
    if first_slice >= p.out_slices || part >= p.parts {
        return;
    }
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let first_in_slice = first_slice / p.group_out_slices * p.group_in_slices;
    // Beyond the last slice or column the last one is computed again and not stored.
{% for c in range(slices) %}
    let slice{{ c }} = min(first_slice + {{ c }}u, p.out_slices - 1u);
{% endfor %}
{% for k in range(columns) %}
    let column{{ k }} = min(first_column + {{ k }}u, columns - 1u);
    let tap{{ k }} = column{{ k }} / p.group_in_slices;
    let in_slice{{ k }} = column{{ k }} % p.group_in_slices;
    let down{{ k }} = i32(tap{{ k }} / p.kernel_width * p.dilation_y) - i32(p.pad_top);
    let right{{ k }} = i32(tap{{ k }} % p.kernel_width * p.dilation_x) - i32(p.pad_left);
{% endfor %}
{% for c in range(slices) %}
{% for lane in range(4) %}
{% for k in range(columns) %}
    var sum{{ c }}_{{ lane }}_{{ k }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}

    var pixel = part * p.part_pixels;
    let end = min(pixel + p.part_pixels, p.pixels);
    // Row by row: what depends on the row is found once.
    while pixel < end {
        let image = pixel / out_area;
        let place = pixel % out_area;
        let out_x = place % p.out_width;
        let row = i32(place / p.out_width * p.stride_y);
        let count = min(end - pixel, p.out_width - out_x);
{% for c in range(slices) %}
        let from{{ c }} = (image * p.out_slices + slice{{ c }}) * out_area + place;
{% endfor %}
{% for k in range(columns) %}
        // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
        let y{{ k }} = u32(row + down{{ k }});
        let row_inside{{ k }} = y{{ k }} < p.in_height;
        let line{{ k }} = (image * p.in_slices + first_in_slice + in_slice{{ k }}) * in_area + select(0u, y{{ k }} * p.in_width, row_inside{{ k }});
        var x{{ k }} = i32(out_x * p.stride_x) + right{{ k }};
{% endfor %}
        for (var i = 0u; i < count; i++) {
{% for k in range(columns) %}
            let inside{{ k }} = row_inside{{ k }} && u32(x{{ k }}) < p.in_width;
            let value{{ k }} = select(vec4<f32>(), input[line{{ k }} + select(0u, u32(x{{ k }}), inside{{ k }})], inside{{ k }});
            x{{ k }} += i32(p.stride_x);
{% endfor %}
{% for c in range(slices) %}
            let gradient{{ c }} = grad_output[from{{ c }} + i];
{% for lane in range(4) %}
{% for k in range(columns) %}
            sum{{ c }}_{{ lane }}_{{ k }} += gradient{{ c }}.{{ "xyzw"[lane] }} * value{{ k }};
{% endfor %}
{% endfor %}
{% endfor %}
        }
        pixel += count;
    }

{% for c in range(slices) %}
{% for lane in range(4) %}
    if (first_slice + {{ c }}u) * 4u + {{ lane }}u < p.outputs {
        let output = slice{{ c }} * 4u + {{ lane }}u;
{% for k in range(columns) %}
        if first_column + {{ k }}u < columns {
            store(part, output, in_slice{{ k }}, tap{{ k }}, sum{{ c }}_{{ lane }}_{{ k }});
        }
{% endfor %}
    }
{% endfor %}
{% endfor %}
}
