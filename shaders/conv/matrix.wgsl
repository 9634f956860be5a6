{# Natively only. #}
// Convolution as an implicit matrix product on matrix units: {{ tile_pixels }} pixels × {{ 4 * tile_slices }} output channels per workgroup, which is
// one subgroup, in {{ rows }} × {{ columns }} matrices of 16 × 16 with sums in single precision. Values go through workgroup memory, where
// they become rows of 16 channels; the kernel's rows are read where they lie.
//
// Invocation i gathers, and in the end stores, pixel i of the tile.
//
// Grid: x over tiles of pixels (batch, rows and columns as one), y over tiles of a group's output slices, z over groups.
// Needs: groups of a multiple of 16 inputs and of {{ 4 * tile_slices }} outputs; subgroups of {{ tile_pixels }} invocations.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
// [tap][input channel within the group][output]
@group(0) @binding(2) var<storage, read> kernel: array<{{ stored }}>;
{% include "conv/store.wgsl" %}

// [pixel][input channel]
var<workgroup> values: array<{{ stored }}, {{ 16 * tile_pixels }}>;
// [pixel][output channel]
var<workgroup> sums: array<f32, {{ 4 * tile_slices * tile_pixels }}>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(workgroup_id) group_in_part: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tile = group_in_part + first_group();
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let row_outputs = p.out_slices * 4u;
    let first_slice = tile.z * p.group_out_slices + tile.y * {{ tile_slices }}u;

    let pixel = tile.x * {{ tile_pixels }}u + index;
    let image = pixel / out_area;
    let place = pixel % out_area;
    let base = (image * p.in_slices + tile.z * p.group_in_slices) * in_area;
    let row = i32(place / p.out_width * p.stride_y) - i32(p.pad_top);
    let column = i32(place % p.out_width * p.stride_x) - i32(p.pad_left);

{% for i in range(rows) %}
{% for j in range(columns) %}
    var sum{{ i }}_{{ j }} = coop_mat16x16<f32, C>();
{% endfor %}
{% endfor %}

    for (var tap = 0u; tap < p.kernel_height * p.kernel_width; tap++) {
        let y = u32(row + i32(tap / p.kernel_width * p.dilation_y));
        let x = u32(column + i32(tap % p.kernel_width * p.dilation_x));
        let inside = pixel < p.pixels && y < p.in_height && x < p.in_width;
        let from_pixel = base + select(0u, y * p.in_width + x, inside);

        for (var first = 0u; first < p.group_in_slices; first += 4u) {
{% for k in range(4) %}
            let value{{ k }} = select(vec4<{{ stored }}>(), input[select(0u, from_pixel + (first + {{ k }}u) * in_area, inside)], inside);
{% for lane in range(4) %}
            values[index * 16u + {{ 4 * k + lane }}u] = value{{ k }}.{{ "xyzw"[lane] }};
{% endfor %}
{% endfor %}
            workgroupBarrier();
            let from_kernel = (tap * p.group_in_slices + first) * 4u * row_outputs + first_slice * 4u;
{% for i in range(rows) %}
            let a{{ i }} = coopLoadT<coop_mat16x16<f16, A>>(&values[{{ 256 * i }}], 16u);
{% endfor %}
{% for j in range(columns) %}
            let b{{ j }} = coopLoadT<coop_mat16x16<f16, B>>(&kernel[from_kernel + {{ 16 * j }}u], row_outputs);
{% for i in range(rows) %}
            sum{{ i }}_{{ j }} = coopMultiplyAdd(a{{ i }}, b{{ j }}, sum{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
            workgroupBarrier();
        }
    }

{% for i in range(rows) %}
{% for j in range(columns) %}
    coopStoreT(sum{{ i }}_{{ j }}, &sums[{{ 16 * i * 4 * tile_slices + 16 * j }}], {{ 4 * tile_slices }}u);
{% endfor %}
{% endfor %}
    workgroupBarrier();
    if pixel < p.pixels {
        let start = image * p.out_slices * out_area + place;
        for (var slice = 0u; slice < {{ tile_slices }}u; slice++) {
            let at = (index * {{ tile_slices }}u + slice) * 4u;
            let sum = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
            store(sum, first_slice + slice, start + (first_slice + slice) * out_area);
        }
    }
}
