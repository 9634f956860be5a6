// {% if logarithm %}x − max − log Σ exp(x − max){% else %}exp(x − max) / Σ exp(x − max){% endif %} over the channels of a pixel: one pixel per workgroup, whose invocations share the
// channels; their partial results are combined in a fixed order. Where a logit is NaN or ∞, or all are −∞, all results of the
// pixel are NaN.
//
// Grid: x over pixels, z over the batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

const LANES: u32 = {{ workgroup[0] }}u;
var<workgroup> partial: array<f32, LANES>;
var<workgroup> partial_kind: array<u32, LANES>;

{% include "common/number_kind.wgsl" %}

// Which of a slice's four channels exist.
fn real(slice: u32) -> vec4<bool> {
    return vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.channels);
}

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(workgroup_id) group_in_part: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let group = group_in_part + first_group();
    let pixel = group.x;
    let slices = (p.channels + 3u) / 4u;
    let first = group.z * slices * p.area + pixel;
    let lowest = vec4<f32>(-3.4028234e38);

    var highest = lowest;
    var highest_kind = vec4<u32>();
    for (var slice = index; slice < slices; slice += LANES) {
        let value = {{ widen4 }}(input[first + slice * p.area]);
        highest = max(highest, select(lowest, value, real(slice)));
        highest_kind = max(highest_kind, select(vec4<u32>(), kind(value), real(slice)));
    }
    partial[index] = max(max(highest.x, highest.y), max(highest.z, highest.w));
    partial_kind[index] = max(max(highest_kind.x, highest_kind.y), max(highest_kind.z, highest_kind.w));
    workgroupBarrier();
    var maximum = partial[0];
    var maximum_kind = partial_kind[0];
    for (var i = 1u; i < LANES; i++) {
        maximum = max(maximum, partial[i]);
        maximum_kind = max(maximum_kind, partial_kind[i]);
    }
    workgroupBarrier();

    var sum = vec4<f32>();
    for (var slice = index; slice < slices; slice += LANES) {
        sum += select(vec4<f32>(), exp({{ widen4 }}(input[first + slice * p.area]) - maximum), real(slice));
    }
    partial[index] = sum.x + sum.y + sum.z + sum.w;
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) {
        total += partial[i];
    }

    // Not a constant, of which there is none that is NaN.
    var nan_bits = vec4<u32>(0x7fc00000u);
    let is_number = maximum_kind == NUMBER;
    for (var slice = index; slice < slices; slice += LANES) {
        let at = first + slice * p.area;
{% if logarithm %}
        let value = {{ widen4 }}(input[at]) - maximum - log(total);
{% else %}
        let value = exp({{ widen4 }}(input[at]) - maximum) / total;
{% endif %}
        let result = select(bitcast<vec4<f32>>(nan_bits), value, is_number);
        output[at] = {{ narrow4 }}(select(vec4<f32>(), result, real(slice)));
    }
}
