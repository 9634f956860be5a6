// Convolution as an implicit matrix product through workgroup memory: {{ tile_pixels }} pixels × {{ tile_slices }} slices of four
// output channels per workgroup of 8 × 8, {{ pixels }} × {{ slices }} of them in the registers of one invocation; {{ depth }} input
// slices are staged at a time.
//
// For hardware adapters. Invocation i of the workgroup gathers pixel i of the tile, so neighbours read neighbouring
// addresses.
//
// Grid: x over tiles of pixels (batch, rows and columns as one), y over tiles of a group's output slices, z over groups, and
// within them over parts of the sums.
// Needs: groups of whole slices on both sides, or one group.
{% set begin = "part_begin" if split else "0u" %}
{% set end = "part_end" if split else "p.group_in_slices" %}
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}

var<workgroup> values: array<vec4<{{ loaded }}>, {{ depth * tile_pixels }}>;
var<workgroup> weights: array<vec4<{{ loaded }}>, {{ depth * 4 * tile_slices }}>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group_in_part: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group_in_part + first_group();
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
    let tile_pixel = tile.x * {{ tile_pixels }}u;
    let tile_slice = tile.y * {{ tile_slices }}u;
{% if split %}
    let group = tile.z / p.parts;
    let part = tile.z % p.parts;
    // This part's input slices of the group.
    let part_begin = min(part * p.part_slices, p.group_in_slices);
    let part_end = min(part_begin + p.part_slices, p.group_in_slices);
{% else %}
    let group = tile.z;
{% endif %}
    let group_slice = group * p.group_out_slices;

    // The pixel this invocation gathers.
    let gathered = tile_pixel + index;
    let image = gathered / out_area;
    let place = gathered % out_area;
    let base = (image * p.in_slices + group * p.group_in_slices) * in_area;
    let row = i32(place / p.out_width * p.stride_y) - i32(p.pad_top);
    let column = i32(place % p.out_width * p.stride_x) - i32(p.pad_left);

{% for i in range(pixels) %}
{% for c in range(slices) %}
    var sum{{ i }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}

    for (var tap = 0u; tap < p.kernel_height * p.kernel_width; tap++) {
        let y = u32(row + i32(tap / p.kernel_width * p.dilation_y));
        let x = u32(column + i32(tap % p.kernel_width * p.dilation_x));
        let inside = gathered < p.pixels && y < p.in_height && x < p.in_width;
        let from_pixel = base + select(0u, y * p.in_width + x, inside);

        for (var first = {{ begin }}; first < {{ end }}; first += {{ depth }}u) {
            for (var k = 0u; k < {{ depth }}u; k++) {
                let slice = first + k;
                var value = vec4<{{ loaded }}>();
                if inside && slice < {{ end }} {
                    value = {{ load4 }}(input[from_pixel + slice * in_area]);
                }
                values[k * {{ tile_pixels }}u + index] = value;
            }
            for (var at = index; at < {{ depth * 4 * tile_slices }}u; at += 64u) {
                let channel = first * {{ lanes }}u + at / {{ tile_slices }}u;
                let slice = tile_slice + at % {{ tile_slices }}u;
                var value = vec4<{{ loaded }}>();
                if channel < {{ end }} * {{ lanes }}u && slice < p.group_out_slices {
{% if products %}
                    value = {{ load4 }}(kernel[(group * p.group_in_slices * {{ lanes }}u + channel) * p.group_out_slices + slice]);
{% else %}
                    value = {{ load4 }}(kernel[(tap * p.group_in_slices * {{ lanes }}u + channel) * p.out_slices + group_slice + slice]);
{% endif %}
                }
                weights[at] = value;
            }
            workgroupBarrier();

{% if half_sums %}
            // Half precision has the bits for sums of what is staged at a time only.
{% for i in range(pixels) %}
{% for c in range(slices) %}
            var part{{ i }}_{{ c }} = vec4<f16>();
{% endfor %}
{% endfor %}
{% endif %}
            for (var k = 0u; k < {{ depth }}u; k++) {
                let from_values = k * {{ tile_pixels }}u + local.y * {{ pixels }}u;
{% for i in range(pixels) %}
                let value{{ i }} = values[from_values + {{ i }}u];
{% endfor %}
{% for lane in range(lanes) %}
{% for c in range(slices) %}
                let w{{ lane }}_{{ c }} = weights[(k * {{ lanes }}u + {{ lane }}u) * {{ tile_slices }}u + local.x * {{ slices }}u + {{ c }}u];
{% for i in range(pixels) %}
                {{ sum }}{{ i }}_{{ c }} += value{{ i }}.{{ "xyzw"[lane] }} * w{{ lane }}_{{ c }};
{% endfor %}
{% endfor %}
{% endfor %}
            }
{% if half_sums %}
{% for i in range(pixels) %}
{% for c in range(slices) %}
            sum{{ i }}_{{ c }} += vec4<f32>(part{{ i }}_{{ c }});
{% endfor %}
{% endfor %}
{% endif %}
            workgroupBarrier();
        }
    }

    let first_pixel = tile_pixel + local.y * {{ pixels }}u;
    let first_slice = tile_slice + local.x * {{ slices }}u;
{% for i in range(pixels) %}
    if first_pixel + {{ i }}u < p.pixels {
        let pixel = first_pixel + {{ i }}u;
        let start = {% if split %}part * p.pixels * p.out_slices + {% endif %}(pixel / out_area * p.out_slices) * out_area + pixel % out_area;
{% for c in range(slices) %}
        if first_slice + {{ c }}u < p.group_out_slices {
            let slice = group_slice + first_slice + {{ c }}u;
            store(sum{{ i }}_{{ c }}, slice, start + slice * out_area);
        }
{% endfor %}
    }
{% endfor %}
}
