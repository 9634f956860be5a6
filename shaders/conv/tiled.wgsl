// Convolution as an implicit matrix product through workgroup memory: {{ tile_pixels }} pixels × {{ tile_slices }} slices of four
// output channels per workgroup, 4 or 8 pixels × {{ slices }} slices in the registers of one invocation. A sum runs over taps ×
// input slices, {{ depth }} terms of four input channels a stage.
//
// For hardware adapters. Software pipelining: the loads of a stage are issued before the products of the stage before it,
// and stored to workgroup memory after them, so that the products hide the latency of the loads.
//
// A vector of `values` is one channel of four pixels that lie {{ quads }} apart. Invocations side by side load, and in the end
// store, pixels side by side; and they access workgroup memory without bank conflicts.
//
// Grid: x over tiles of pixels (batch, rows and columns as one), y over tiles of a group's output slices, z over groups, and
// within them over parts of the sums.
// Needs: groups of whole slices on both sides, or one group.
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}
{% if half_sums %}
{# Sums of a stage in half precision lie in registers beside those of all stages. So twice as many invocations have half as
many pixels each, and half of them load values, the others weights. #}
{% set pixel_vectors = 3 - slices %}
{% else %}
{% set pixel_vectors = 2 %}
{% endif %}
{% set pixels = 4 * pixel_vectors %}
{% set is_shared = pixel_vectors == 1 %}
{% set next_weights = "next" if is_shared else "next_weights" %}
{% set begin = "begin" if split else "0u" %}

// [channel of the stage][quad of pixels]
var<workgroup> values: array<vec4<{{ loaded }}>, {{ depth * lanes * quads }}>;
// [channel of the stage][output slice]
var<workgroup> weights: array<vec4<{{ loaded }}>, {{ depth * lanes * tile_slices }}>;
{% if not products %}
// Of every pixel of the tile: where its window begins in `input`, its row, and its column.
var<workgroup> windows: array<vec4<i32>, {{ tile_pixels }}>;
{% endif %}

@compute @workgroup_size(8, {{ quads // pixel_vectors }})
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
{% else %}
    let group = tile.z;
{% endif %}
    let group_slice = group * p.group_out_slices;
{% if products %}
    let end = p.group_in_slices;
{% else %}
    let terms = p.kernel_height * p.kernel_width * p.group_in_slices;
{% if split %}
    // This part's terms: whole stages.
    let part_terms = (terms + p.parts * {{ depth }}u - 1u) / (p.parts * {{ depth }}u) * {{ depth }}u;
    let begin = min(part * part_terms, terms);
    let end = min(begin + part_terms, terms);
{% else %}
    let end = terms;
{% endif %}
{% endif %}

    // Of every stage an invocation loads four pixels at one term, and {{ weight_loads }} vectors of weights.
    let quad = index % {{ quads }}u;
    let base = group * p.group_in_slices * in_area;
{% if products %}
{% for i in range(4) %}
    let from{{ i }} = base + min(tile_pixel + quad + {{ i * quads }}u, p.pixels - 1u);
{% endfor %}
{% else %}
{% if is_shared %}
    if index < {{ tile_pixels }}u {
{% endif %}
    let pixel = tile_pixel + index;
    let image = pixel / out_area;
    let place = pixel % out_area;
    let top = i32(place / p.out_width * p.stride_y) - i32(p.pad_top);
    let left = i32(place % p.out_width * p.stride_x) - i32(p.pad_left);
    let window = i32(base + image * p.in_slices * in_area) + top * i32(p.in_width) + left;
    // Beyond the last pixel every row is outside.
    windows[index] = vec4<i32>(window, select(1 << 30u, top, pixel < p.pixels), left, 0);
{% if is_shared %}
    }
{% endif %}
    workgroupBarrier();

    // The input slice and the tap of its term, and by how much they change from stage to stage.
    let first_term = {{ begin }} + index / {{ quads }}u;
    var slice = first_term % p.group_in_slices;
    var tap_y = first_term / p.group_in_slices / p.kernel_width;
    var tap_x = first_term / p.group_in_slices % p.kernel_width;
    let step_slice = {{ depth }}u % p.group_in_slices;
    let step_y = {{ depth }}u / p.group_in_slices / p.kernel_width;
    let step_x = {{ depth }}u / p.group_in_slices % p.kernel_width;
    var is_at_new_tap = true;
{% for i in range(4) %}
    var from{{ i }} = 0u;
    var inside{{ i }} = false;
{% endfor %}
{% endif %}
{% if products %}
    let row_slices = p.group_out_slices;
    let from_kernel = group * p.group_in_slices * {{ lanes }}u * row_slices + min(tile_slice + index % {{ tile_slices }}u, row_slices - 1u);
{% else %}
    let row_slices = p.out_slices;
    let from_kernel = group_slice + min(tile_slice + index % {{ tile_slices }}u, p.group_out_slices - 1u);
{% endif %}
    let place_of_weights = index{% if is_shared %} % 64u{% endif %};
    let last_row = max(end * {{ lanes }}u, 1u) - 1u;

{% for i in range(pixels) %}
{% for c in range(slices) %}
    var sum{{ i }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}

    // Terms that lie in workgroup memory: none before the first stage is loaded.
    var staged = 0u;
    for (var first = {{ begin }}; first < end + {{ depth }}u; first += {{ depth }}u) {
{% if not products %}
        if is_at_new_tap {
            let down = i32(tap_y * p.dilation_y);
            let right = i32(tap_x * p.dilation_x);
{% for i in range(4) %}
            let window{{ i }} = windows[quad + {{ i * quads }}u];
            // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
            inside{{ i }} = u32(window{{ i }}.y + down) < p.in_height && u32(window{{ i }}.z + right) < p.in_width;
            from{{ i }} = u32(window{{ i }}.x + down * i32(p.in_width) + right);
{% endfor %}
        }
{% endif %}
        let exists = first + index / {{ quads }}u < end;
{% for i in range(4) %}
        var next{{ i }} = vec4<{{ stored }}>();
{% endfor %}
{% if not is_shared %}
{% for j in range(weight_loads) %}
        var next_weights{{ j }} = vec4<{{ stored }}>();
{% endfor %}
{% endif %}
        // Not only to save loads: without a branch, Mesa moves them behind the products, to where they are used.
        if first < end {
            // What does not exist is loaded from the first or last place that does.
{% if is_shared %}
            if index < 64u {
{% endif %}
{% for i in range(4) %}
{% if products %}
            next{{ i }} = input[from{{ i }} + select(0u, first + index / {{ quads }}u, exists) * in_area];
{% else %}
            next{{ i }} = input[select(0u, from{{ i }} + slice * in_area, inside{{ i }} && exists)];
{% endif %}
{% endfor %}
{% if is_shared %}
            } else {
{% endif %}
            let row = first * {{ lanes }}u + place_of_weights / {{ tile_slices }}u;
{% for j in range(weight_loads) %}
            {{ next_weights }}{{ j }} = kernel[from_kernel + min(row + {{ j * weight_rows }}u, last_row) * row_slices];
{% endfor %}
{% if is_shared %}
            }
{% endif %}
        }

{% if half_sums %}
        // Half precision has the bits for sums of a stage only. These stay packed where no loop is around them.
        if staged > 0u {
{% for k in range(depth * lanes) %}
{% for h in range(pixel_vectors) %}
        let value{{ h }}_{{ k }} = values[local.y + {{ k * quads + h * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
        let w{{ k }}_{{ c }} = weights[local.x + {{ k * tile_slices + c * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
{% for i in range(pixels) %}
{% if k == 0 %}
        var part{{ i }}_{{ c }} = value{{ i // 4 }}_{{ k }}.{{ "xyzw"[i % 4] }} * w{{ k }}_{{ c }};
{% else %}
        part{{ i }}_{{ c }} += value{{ i // 4 }}_{{ k }}.{{ "xyzw"[i % 4] }} * w{{ k }}_{{ c }};
{% endif %}
{% endfor %}
{% endfor %}
{% endfor %}
{% for i in range(pixels) %}
{% for c in range(slices) %}
            sum{{ i }}_{{ c }} += vec4<f32>(part{{ i }}_{{ c }});
{% endfor %}
{% endfor %}
        }
{% else %}
        for (var k = 0u; k < staged; k++) {
            let from_values = k * {{ lanes * quads }}u + local.y;
            let from_weights = k * {{ lanes * tile_slices }}u + local.x;
{% for lane in range(lanes) %}
{% for h in range(pixel_vectors) %}
            let value{{ lane }}_{{ h }} = values[from_values + {{ lane * quads + h * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
            let w{{ lane }}_{{ c }} = weights[from_weights + {{ lane * tile_slices + c * 8 }}u];
{% endfor %}
{% for c in range(slices) %}
{% for i in range(pixels) %}
            sum{{ i }}_{{ c }} += value{{ lane }}_{{ i // 4 }}.{{ "xyzw"[i % 4] }} * w{{ lane }}_{{ c }};
{% endfor %}
{% endfor %}
{% endfor %}
        }
{% endif %}
        workgroupBarrier();

{% if is_shared %}
        if index < 64u {
{% endif %}
{% for i in range(4) %}
        let gathered{{ i }} = select(vec4<{{ loaded }}>(), {{ load4 }}(next{{ i }}), {% if not products %}inside{{ i }} && {% endif %}exists);
{% endfor %}
{% for lane in range(lanes) %}
        values[(index / {{ quads }}u * {{ lanes }}u + {{ lane }}u) * {{ quads }}u + quad] =
            vec4<{{ loaded }}>(gathered0.{{ "xyzw"[lane] }}, gathered1.{{ "xyzw"[lane] }}, gathered2.{{ "xyzw"[lane] }}, gathered3.{{ "xyzw"[lane] }});
{% endfor %}
{% if is_shared %}
        } else {
{% endif %}
{% for j in range(weight_loads) %}
{% if (j + 1) * 64 > depth * lanes * tile_slices %}
        if place_of_weights + {{ j * 64 }}u < {{ depth * lanes * tile_slices }}u {
            weights[place_of_weights + {{ j * 64 }}u] = {{ load4 }}({{ next_weights }}{{ j }});
        }
{% else %}
        weights[place_of_weights + {{ j * 64 }}u] = {{ load4 }}({{ next_weights }}{{ j }});
{% endif %}
{% endfor %}
{% if is_shared %}
        }
{% endif %}
        workgroupBarrier();

        staged = min(max(end, first) - first, {{ depth }}u);
{% if not products %}
        slice += step_slice;
        let carry = slice >= p.group_in_slices;
        slice -= select(0u, p.group_in_slices, carry);
        tap_x += step_x + select(0u, 1u, carry);
        let carry_x = tap_x >= p.kernel_width;
        tap_x -= select(0u, p.kernel_width, carry_x);
        tap_y += step_y + select(0u, 1u, carry_x);
        is_at_new_tap = carry || {{ depth }}u >= p.group_in_slices;
{% endif %}
    }

    let first_slice = tile_slice + local.x;
{% for i in range(pixels) %}
    let pixel{{ i }} = tile_pixel + local.y + {{ i // 4 * 8 + i % 4 * quads }}u;
    if pixel{{ i }} < p.pixels {
        let start = {% if split %}part * p.pixels * p.out_slices + {% endif %}(pixel{{ i }} / out_area * p.out_slices) * out_area + pixel{{ i }} % out_area;
{% for c in range(slices) %}
        if first_slice + {{ c * 8 }}u < p.group_out_slices {
            let slice = group_slice + first_slice + {{ c * 8 }}u;
            store(sum{{ i }}_{{ c }}, slice, start + slice * out_area);
        }
{% endfor %}
    }
{% endfor %}
}
