// The way back through kernel composition.
{% if factor == "w" %}
// dW[o, j, s] = Σ_m D[c, m, s] · dkernel[o, j, m], where c is the input channel that the pairing gives. Four j at a time.
//
// Grid: x over the elements (as vec4) of the map [out, in-group inputs, S, 1].
{% else %}
// dD[c, m, s] = Σ dkernel[o, j, m] · W[o, j, s] over all o and j that the pairing gives the channel c: one for every output
// of a group. Four m at a time; the sum may be split into parts.
//
// Grid: x over the elements (as vec4) of the map [in, K, S, 1]; z over parts of the sum.
{% endif %}
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
// The map [out, in-group inputs, kernel rows, kernel columns].
{% if factor == "w" %}
@group(0) @binding(1) var<storage, read> grad_kernel: array<vec4<f32>>;
// [tap][s][input channel]
{% else %}
@group(0) @binding(1) var<storage, read> grad_kernel: array<f32>;
// [s][input channel within the group][output]
{% endif %}
@group(0) @binding(2) var<storage, read> factor: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    let s = at % p.d_mul;
    var sum = vec4<f32>();
{% if factor == "w" %}
    let slice = at / p.d_mul % p.in_slices;
    let o = at / p.d_mul / p.in_slices;
    let j = min(vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.group_inputs - 1u));
{% if pairing == "torch" %}
    let channel = (o * p.group_inputs + j) % p.inputs;
{% else %}
    let channel = o / p.group_outputs * p.group_inputs + j;
{% endif %}
    for (var tap = 0u; tap < p.taps; tap++) {
        let place = channel + (tap * p.d_mul + s) * p.inputs;
        let d = vec4<f32>(factor[place.x], factor[place.y], factor[place.z], factor[place.w]);
        sum += d * grad_kernel[(o * p.in_slices + slice) * p.taps + tap];
    }
    output[at] = used_lanes(sum, slice, p.group_inputs);
{% else %}
    let tap_slices = (p.taps + 3u) / 4u;
    let slice = at / p.d_mul % tap_slices;
    let channel = at / p.d_mul / tap_slices;
    let tap = min(vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.taps - 1u)) * 4u;
    let first = id.z * p.part_terms;
    let end = min(first + p.part_terms, p.group_outputs);
    for (var term = first; term < end; term++) {
{% if pairing == "torch" %}
        let flat = channel + term * p.inputs;
        let o = flat / p.group_inputs;
        let j = flat % p.group_inputs;
{% else %}
        let o = channel / p.group_inputs * p.group_outputs + term;
        let j = channel % p.group_inputs;
{% endif %}
        let place = (o * p.in_slices + j / 4u) * p.taps * 4u + j % 4u + tap;
        let gradient = vec4<f32>(grad_kernel[place.x], grad_kernel[place.y], grad_kernel[place.z], grad_kernel[place.w]);
        sum += gradient * factor[(s * p.group_inputs + j) * p.outputs + o];
    }
    output[id.z * p.length + at] = used_lanes(sum, slice, p.taps);
{% endif %}
}
