// The gradient of a convolution's kernel as an implicit matrix product through workgroup memory: output channels ×
// (in-group input channels × taps), summed over one part of the pixels. {{ tile_slices }} slices of outputs × {{ tile_columns }} columns of four
// inputs at a tap per workgroup of 8 × 8, {{ slices }} × {{ columns }} of them in the registers of one invocation; {{ depth }} pixels are staged at
// a time.
//
// For hardware adapters. Neighbouring invocations gather neighbouring pixels.
//
// Grid: x over tiles of columns, y over groups × tiles of a group's output slices, z over parts of the pixels.
// Needs: groups of whole slices on both sides, or one group; parts of whole stages.
{% include "common/map.wgsl" %}
{% include "training/kernel_gradient_bindings.wgsl" %}

var<workgroup> values: array<vec4<f32>, {{ depth * tile_columns }}>;
var<workgroup> gradients: array<vec4<f32>, {{ depth * tile_slices }}>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group_in_part: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group_in_part + first_group();
    let columns = p.kernel_height * p.kernel_width * p.group_in_slices;
    let slice_tiles = (p.group_out_slices + {{ tile_slices - 1 }}u) / {{ tile_slices }}u;
    let group = tile.y / slice_tiles;
    let tile_slice = tile.y % slice_tiles * {{ tile_slices }}u;
    let tile_column = tile.x * {{ tile_columns }}u;
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let start = tile.z * p.part_pixels;
    let end = min(start + p.part_pixels, p.pixels);
    // Which pixel of a stage this invocation gathers, and for which of the slices and columns first.
    let lane = index % {{ depth }}u;
    let first = index / {{ depth }}u;

{% for c in range(slices) %}
{% for lane in range(4) %}
{% for k in range(columns) %}
    var sum{{ c }}_{{ lane }}_{{ k }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}

    for (var stage = start; stage < end; stage += {{ depth }}u) {
        let pixel = stage + lane;
        let image = pixel / out_area;
        let place = pixel % out_area;
        let row = i32(place / p.out_width * p.stride_y) - i32(p.pad_top);
        let left = i32(place % p.out_width * p.stride_x) - i32(p.pad_left);
        for (var at = first; at < {{ tile_columns }}u; at += {{ 64 // depth }}u) {
            let column = tile_column + at;
            let tap = column / p.group_in_slices;
            let slice = group * p.group_in_slices + column % p.group_in_slices;
            let y = u32(row + i32(tap / p.kernel_width * p.dilation_y));
            let x = u32(left + i32(tap % p.kernel_width * p.dilation_x));
            var value = vec4<f32>();
            if pixel < end && column < columns && y < p.in_height && x < p.in_width {
                value = input[(image * p.in_slices + slice) * in_area + y * p.in_width + x];
            }
            values[lane * {{ tile_columns }}u + at] = value;
        }
        for (var at = first; at < {{ tile_slices }}u; at += {{ 64 // depth }}u) {
            let slice = tile_slice + at;
            var gradient = vec4<f32>();
            if pixel < end && slice < p.group_out_slices {
                gradient = grad_output[(image * p.out_slices + group * p.group_out_slices + slice) * out_area + place];
            }
            gradients[lane * {{ tile_slices }}u + at] = gradient;
        }
        workgroupBarrier();

        for (var k = 0u; k < {{ depth }}u; k++) {
{% for k in range(columns) %}
            let value{{ k }} = values[k * {{ tile_columns }}u + local.x + {{ k * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
            let gradient{{ c }} = gradients[k * {{ tile_slices }}u + local.y + {{ c * 8 }}u];
{% for lane in range(4) %}
{% for k in range(columns) %}
            sum{{ c }}_{{ lane }}_{{ k }} += gradient{{ c }}.{{ "xyzw"[lane] }} * value{{ k }};
{% endfor %}
{% endfor %}
{% endfor %}
        }
        workgroupBarrier();
    }

{% for k in range(columns) %}
    let column{{ k }} = tile_column + local.x + {{ k * 8 }}u;
    if column{{ k }} < columns {
        let tap = column{{ k }} / p.group_in_slices;
        let in_slice = column{{ k }} % p.group_in_slices;
{% for c in range(slices) %}
        let slice{{ c }} = tile_slice + local.y + {{ c * 8 }}u;
        if slice{{ c }} < p.group_out_slices {
            let output = (group * p.group_out_slices + slice{{ c }}) * 4u;
{% for lane in range(4) %}
            if output + {{ lane }}u < p.outputs {
                store(tile.z, output + {{ lane }}u, in_slice, tap, sum{{ c }}_{{ lane }}_{{ k }});
            }
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
}
