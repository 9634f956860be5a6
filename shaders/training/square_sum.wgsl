{% if join %}
// The sum of parts of a sum of squares: one workgroup, whose invocations share the parts; their results are combined in a
// fixed order.
//
// Grid: one workgroup.
{% else %}
// The sum of the squares of the values of a map: one part of them per workgroup, whose invocations share it; their results are
// combined in a fixed order.
//
// Grid: x over workgroups.
{% include "common/map.wgsl" %}
{% endif %}
{% include "common/params.wgsl" %}
{% if join %}
@group(0) @binding(1) var<storage, read> parts: array<f32>;
// The map [1, 1, 1, 1].
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;
{% else %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
// Those of all maps, one behind the other.
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
{% endif %}

const LANES: u32 = {{ workgroup[0] }}u;
var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(workgroup_id) group_in_part: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let group = group_in_part + first_group();
{% if join %}
    var sum = 0.0;
    for (var at = index; at < p.length; at += LANES) {
        sum += parts[at];
    }
    partial[index] = sum;
{% else %}
    var sum = vec4<f32>();
    for (var at = group.x * LANES + index; at < p.length; at += p.parts * LANES) {
        let channels = vec4<u32>(at / p.area % p.slices * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let value = select(vec4<f32>(), input[at], channels < vec4<u32>(p.channels));
        sum += value * value;
    }
    partial[index] = sum.x + sum.y + sum.z + sum.w;
{% endif %}
    workgroupBarrier();
    if index == 0u {
        var total = 0.0;
        for (var i = 0u; i < LANES; i++) {
            total += partial[i];
        }
{% if join %}
        output[0] = vec4<f32>(total, 0.0, 0.0, 0.0);
{% else %}
        parts[p.first + group.x] = total;
{% endif %}
    }
}
