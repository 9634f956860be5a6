// Convolution as an implicit matrix product, straight from storage: {{ pixels }} pixels × {{ slices }} slices of four output
// channels in the registers of one invocation, no workgroup memory and no barriers.
//
// For software adapters, where a barrier costs more than it saves, and for maps too small to fill a tile.
{% if subgroup %}
// Every load costs a software adapter as much as several products, and all invocations of a subgroup of {{ subgroup }} want the same
// weights: each loads one of them, and gives it to the others. Workgroups are one row of whole subgroups.
{% endif %}
//
// Grid: x over tiles of pixels (batch, rows and columns as one), y over tiles of output slices, z over parts of the sums.
// Needs: groups of whole slices on both sides and whole tiles of slices in a group, or one group.
{% set begin = "part_begin" if split else "0u" %}
{% set end = "part_end" if split else "p.group_in_slices" %}
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
{% if subgroup %}
fn main(
    @builtin(global_invocation_id) invocation: vec3<u32>,
    @builtin(workgroup_id) group_in_part: vec3<u32>,
    @builtin(subgroup_invocation_id) place_in_subgroup: u32,
) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let workgroup = group_in_part + first_group();
    // Nobody leaves before the others have got its weights.
    let first_pixel = id.x * {{ pixels }}u;
    let first_slice = workgroup.y * {{ slices }}u;
{% else %}
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let first_pixel = id.x * {{ pixels }}u;
    let first_slice = id.y * {{ slices }}u;
    if first_pixel >= p.pixels || first_slice >= p.out_slices {
        return;
    }
{% endif %}
    let out_area = p.out_height * p.out_width;
    let in_area = p.in_height * p.in_width;
{% if split %}
    // This part's input slices of the group.
    let part_begin = min(id.z * p.part_slices, p.group_in_slices);
    let part_end = min(part_begin + p.part_slices, p.group_in_slices);
    let first_in_slice = first_slice / p.group_out_slices * p.group_in_slices + part_begin;
{% else %}
    let first_in_slice = first_slice / p.group_out_slices * p.group_in_slices;
{% endif %}
    // Beyond the last slice or pixel the last one is computed again, and stored again.
{% for c in range(slices) %}
    let slice{{ c }} = min(first_slice + {{ c }}u, p.out_slices - 1u);
{% endfor %}
{% for i in range(pixels) %}
    let pixel{{ i }} = min(first_pixel + {{ i }}u, p.pixels - 1u);
    let image{{ i }} = pixel{{ i }} / out_area;
    let place{{ i }} = pixel{{ i }} % out_area;
    let base{{ i }} = (image{{ i }} * p.in_slices + first_in_slice) * in_area;
{% if not pointwise %}
    let row{{ i }} = i32(place{{ i }} / p.out_width * p.stride_y) - i32(p.pad_top);
    let column{{ i }} = i32(place{{ i }} % p.out_width * p.stride_x) - i32(p.pad_left);
{% endif %}
{% for c in range(slices) %}
    var sum{{ i }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}

{% if products %}
    let row_slices = p.group_out_slices;
    let group = first_slice / row_slices;
    var weights = group * (4u * p.group_in_slices - 1u) * row_slices;
{% else %}
    let row_slices = p.out_slices;
    var weights = {% if split %}part_begin * {{ lanes }}u * row_slices{% else %}0u{% endif %};
{% endif %}
{% if subgroup %}
    // The weights of an input slice are those of its channels one after the other, {{ slices }} slices each: where this one's are.
{% for part in range(weight_loads) %}
    let share{{ part }} = min(({{ part * subgroup }}u + place_in_subgroup) / {{ slices }}u, {{ lanes - 1 }}u) * row_slices
        + min(first_slice + ({{ part * subgroup }}u + place_in_subgroup) % {{ slices }}u, p.out_slices - 1u);
{% endfor %}
{% endif %}
{% if not pointwise %}
    for (var tap_y = 0u; tap_y < p.kernel_height; tap_y++) {
        for (var tap_x = 0u; tap_x < p.kernel_width; tap_x++) {
            let down = i32(tap_y * p.dilation_y);
            let right = i32(tap_x * p.dilation_x);
{% endif %}
{% for i in range(pixels) %}
{% if pointwise %}
            var at{{ i }} = base{{ i }} + place{{ i }};
{% else %}
            // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
            let y{{ i }} = u32(row{{ i }} + down);
            let x{{ i }} = u32(column{{ i }} + right);
            let inside{{ i }} = y{{ i }} < p.in_height && x{{ i }} < p.in_width;
            var at{{ i }} = base{{ i }} + select(0u, y{{ i }} * p.in_width + x{{ i }}, inside{{ i }});
{% endif %}
{% endfor %}
{% if half_sums %}
            // Half precision has the bits for sums of a few slices only.
            for (var block = {{ begin }}; block < {{ end }}; block += {{ block_slices }}u) {
            let block_end = min(block + {{ block_slices }}u, {{ end }});
{% for i in range(pixels) %}
{% for c in range(slices) %}
            var part{{ i }}_{{ c }} = vec4<f16>();
{% endfor %}
{% endfor %}
            for (var slice = block; slice < block_end; slice++) {
{% else %}
            for (var slice = {{ begin }}; slice < {{ end }}; slice++) {
{% endif %}
{% for i in range(pixels) %}
{% if pointwise %}
                let value{{ i }} = {{ load4 }}(input[at{{ i }}]);
{% else %}
                let value{{ i }} = select(vec4<{{ loaded }}>(), {{ load4 }}(input[at{{ i }}]), inside{{ i }});
{% endif %}
                at{{ i }} += in_area;
{% endfor %}
{% if subgroup %}
{% for part in range(weight_loads) %}
                let weights{{ part }} = {{ load4 }}(kernel[weights + share{{ part }}]);
{% endfor %}
{% endif %}
{% for lane in range(lanes) %}
{% for c in range(slices) %}
{% if subgroup %}
                let w{{ lane }}_{{ c }} = subgroupBroadcast(weights{{ (lane * slices + c) // subgroup }}, {{ (lane * slices + c) % subgroup }}u);
{% else %}
                let w{{ lane }}_{{ c }} = {{ load4 }}(kernel[weights + slice{{ c }}]);
{% endif %}
{% for i in range(pixels) %}
                {{ sum }}{{ i }}_{{ c }} += value{{ i }}.{{ "xyzw"[lane] }} * w{{ lane }}_{{ c }};
{% endfor %}
{% endfor %}
                weights += row_slices;
{% endfor %}
            }
{% if half_sums %}
{% for i in range(pixels) %}
{% for c in range(slices) %}
            sum{{ i }}_{{ c }} += vec4<f32>(part{{ i }}_{{ c }});
{% endfor %}
{% endfor %}
            }
{% endif %}
{% if not pointwise %}
{% if split %}
            // Over the other parts' weights of this tap.
            weights += (p.group_in_slices - (part_end - part_begin)) * {{ lanes }}u * row_slices;
{% endif %}
        }
    }
{% endif %}

{% if subgroup %}
    if first_pixel >= p.pixels {
        return;
    }
{% endif %}
{% if compact %}
    // One after the other: written out it is two thirds of what there is to compile.
    var sums = array<vec4<f32>, {{ pixels * slices }}>(
{% for i in range(pixels) %}
{% for c in range(slices) %}
        sum{{ i }}_{{ c }},
{% endfor %}
{% endfor %}
    );
    for (var k = 0u; k < {{ pixels * slices }}u; k++) {
        let pixel = min(first_pixel + k / {{ slices }}u, p.pixels - 1u);
        let slice = min(first_slice + k % {{ slices }}u, p.out_slices - 1u);
        let at = (pixel / out_area * p.out_slices + slice) * out_area + pixel % out_area;
        store(sums[k], slice, {% if split %}id.z * p.pixels * p.out_slices + {% endif %}at);
    }
{% else %}
{% for i in range(pixels) %}
{% for c in range(slices) %}
    store(sum{{ i }}_{{ c }}, slice{{ c }}, {% if split %}id.z * p.pixels * p.out_slices + {% endif %}(image{{ i }} * p.out_slices + slice{{ c }}) * out_area + place{{ i }});
{% endfor %}
{% endfor %}
{% endif %}
}
