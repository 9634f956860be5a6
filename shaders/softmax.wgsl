// {% if logarithm %}x − max − log Σ exp(x − max){% else %}exp(x − max) / Σ exp(x − max){% endif %} over the channels of a pixel: one pixel per workgroup, whose invocations share the
// channels; their partial results are combined in a fixed order.
//
// Grid: x over pixels, z over the batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

const LANES: u32 = {{ workgroup[0] }}u;
var<workgroup> partial: array<f32, LANES>;

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
    for (var slice = index; slice < slices; slice += LANES) {
        highest = max(highest, select(lowest, {{ widen4 }}(input[first + slice * p.area]), real(slice)));
    }
    partial[index] = max(max(highest.x, highest.y), max(highest.z, highest.w));
    workgroupBarrier();
    var maximum = partial[0];
    for (var i = 1u; i < LANES; i++) {
        maximum = max(maximum, partial[i]);
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

    for (var slice = index; slice < slices; slice += LANES) {
        let at = first + slice * p.area;
{% if logarithm %}
        let value = {{ widen4 }}(input[at]) - maximum - log(total);
{% else %}
        let value = exp({{ widen4 }}(input[at]) - maximum) / total;
{% endif %}
        output[at] = {{ narrow4 }}(select(vec4<f32>(), value, real(slice)));
    }
}
