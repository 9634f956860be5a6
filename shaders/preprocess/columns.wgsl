// An image with another number of rows, as a network's input: every level of a channel becomes what `levels` says.
//
// `weights` is as for `resample_rows.wgsl`.
//
// Grid: x and y over the pixels of the result.
{% include "common/map.wgsl" %}
{% include "preprocess/resample.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> narrow: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<i32>;
@group(0) @binding(3) var<storage, read> levels: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.width || id.y >= p.height {
        return;
    }
    let table = id.y * (1u + p.taps);
    let start = u32(weights[table]);
    let taps = min(p.taps, arrayLength(&narrow) / p.width - start);
    var sums = vec3<i32>(HALF);
    for (var tap = 0u; tap < taps; tap++) {
        sums += weights[table + 1u + tap] * unpacked(narrow[(start + tap) * p.width + id.x]);
    }
    let rgb = unpacked(packed(sums));
    output[p.first + id.y * p.width + id.x] = {{ narrow4 }}(vec4<f32>(levels[rgb.x].x, levels[rgb.y].y, levels[rgb.z].z, 0.0));
}
