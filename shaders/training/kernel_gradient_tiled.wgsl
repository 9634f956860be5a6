// The gradient of a convolution's kernel as an implicit matrix product through workgroup memory: output channels ×
// (in-group input channels × taps), summed over one part of the pixels. {{ tile_slices }} slices of outputs × {{ tile_columns }} columns of four
// inputs at a tap per workgroup of 8 × 8, {{ slices }} × {{ columns }} of them in the registers of one invocation; {{ depth }} pixels are staged at
// a time.
//
// For hardware adapters. Software pipelining: the loads of a stage are issued before the products of the stage before it,
// and stored to workgroup memory after them. Neighbouring invocations load neighbouring pixels.
//
// Grid: x over tiles of columns, y over groups × tiles of a group's output slices, z over parts of the pixels.
// Needs: groups of whole slices on both sides, or one group; parts of whole stages.
{% include "common/map.wgsl" %}
{% include "training/kernel_gradient_bindings.wgsl" %}
{# One more than there are, so that what invocations side by side store lies in different banks. -#}
{% set values_row = tile_columns + 1 %}
{% set gradients_row = tile_slices + 1 %}

// [pixel of the stage][column], [pixel of the stage][output slice]
var<workgroup> values: array<vec4<f32>, {{ depth * values_row }}>;
var<workgroup> gradients: array<vec4<f32>, {{ depth * gradients_row }}>;
// Of every column of the tile: the row and the column of its tap, and where its input slice begins.
var<workgroup> taps: array<vec4<i32>, {{ tile_columns }}>;

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

    // Beyond the last column the last one is loaded again, and not stored.
    if index < {{ tile_columns }}u {
        let column = min(tile_column + index, columns - 1u);
        let tap = column / p.group_in_slices;
        let slice = group * p.group_in_slices + column % p.group_in_slices;
        let down = i32(tap / p.kernel_width * p.dilation_y) - i32(p.pad_top);
        let right = i32(tap % p.kernel_width * p.dilation_x) - i32(p.pad_left);
        taps[index] = vec4<i32>(down, right, i32(slice * in_area), 0);
    }
    workgroupBarrier();

    // Which pixel of a stage this invocation loads, and for which of the slices and columns first.
    let lane = index % {{ depth }}u;
    let first = index / {{ depth }}u;
    var image = (start + lane) / out_area;
    var out_y = (start + lane) % out_area / p.out_width;
    var out_x = (start + lane) % out_area % p.out_width;
    // By how much these change from stage to stage.
    let step_image = {{ depth }}u / out_area;
    let step_y = {{ depth }}u % out_area / p.out_width;
    let step_x = {{ depth }}u % out_area % p.out_width;
{% for j in range(gradient_loads) %}
    let from_slice{{ j }} = (group * p.group_out_slices + min(tile_slice + first + {{ j * 64 // depth }}u, p.group_out_slices - 1u)) * out_area;
{% endfor %}

{% for c in range(slices) %}
{% for lane in range(4) %}
{% for k in range(columns) %}
    var sum{{ c }}_{{ lane }}_{{ k }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}

    // Pixels that lie in workgroup memory: none before the first stage is loaded.
    var staged = 0u;
    for (var stage = start; stage < end + {{ depth }}u; stage += {{ depth }}u) {
        let exists = stage + lane < end;
        let row = i32(out_y * p.stride_y);
        let left = i32(out_x * p.stride_x);
        let from_input = image * p.in_slices * in_area;
        let from_gradient = image * p.out_slices * out_area + out_y * p.out_width + out_x;
{% for j in range(value_loads) %}
        let tap{{ j }} = taps[first + {{ j * 64 // depth }}u];
        // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
        let y{{ j }} = u32(row + tap{{ j }}.x);
        let x{{ j }} = u32(left + tap{{ j }}.y);
        let inside{{ j }} = exists && y{{ j }} < p.in_height && x{{ j }} < p.in_width;
        var next_value{{ j }} = vec4<f32>();
{% endfor %}
{% for j in range(gradient_loads) %}
        var next_gradient{{ j }} = vec4<f32>();
{% endfor %}
        // Not only to save loads: without a branch, Mesa moves them behind the products, to where they are used.
        if stage < end {
{% for j in range(value_loads) %}
            next_value{{ j }} = input[select(0u, from_input + u32(tap{{ j }}.z) + y{{ j }} * p.in_width + x{{ j }}, inside{{ j }})];
{% endfor %}
{% for j in range(gradient_loads) %}
            next_gradient{{ j }} = grad_output[select(0u, from_gradient + from_slice{{ j }}, exists)];
{% endfor %}
        }

        for (var k = 0u; k < staged; k++) {
            let from_values = k * {{ values_row }}u + local.x;
            let from_gradients = k * {{ gradients_row }}u + local.y;
{% for k in range(columns) %}
            let value{{ k }} = values[from_values + {{ k * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
            let gradient{{ c }} = gradients[from_gradients + {{ c * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
{% for lane in range(4) %}
{% for k in range(columns) %}
            sum{{ c }}_{{ lane }}_{{ k }} += gradient{{ c }}.{{ "xyzw"[lane] }} * value{{ k }};
{% endfor %}
{% endfor %}
{% endfor %}
        }
        workgroupBarrier();

{% for j in range(value_loads) %}
        values[lane * {{ values_row }}u + first + {{ j * 64 // depth }}u] = select(vec4<f32>(), next_value{{ j }}, inside{{ j }});
{% endfor %}
{% for j in range(gradient_loads) %}
        gradients[lane * {{ gradients_row }}u + first + {{ j * 64 // depth }}u] = next_gradient{{ j }};
{% endfor %}
        workgroupBarrier();

        staged = min(max(end, stage) - stage, {{ depth }}u);
        out_x += step_x;
        let carry_x = out_x >= p.out_width;
        out_x -= select(0u, p.out_width, carry_x);
        out_y += step_y + select(0u, 1u, carry_x);
        let carry_y = out_y >= p.out_height;
        out_y -= select(0u, p.out_height, carry_y);
        image += step_image + select(0u, 1u, carry_y);
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
