// Parameters become {% if part == "d" %}D of a composed kernel, which is their sum with the identity{% elif part == "bias" %}a bias{% else %}a kernel, or W of one{% endif %}.
//
// Grid: x over the elements of the result.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
{% if part == "d" %}
// The map [input channel, tap, s, 1].
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
// [tap][s][input channel]
{% elif part == "bias" %}
// The map [1, output, 1, 1].
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
{% else %}
// The map [output, input channel within the group, kernel rows, kernel columns], or [output, …, s, 1].
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
// [tap or s][input channel within the group][output]
{% endif %}
@group(0) @binding(2) var<storage, read_write> loaded: array<f32>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
{% if part == "bias" %}
    loaded[at] = parameters[at];
{% elif part == "d" %}
    let channel = at % p.row_outputs;
    let s = at / p.row_outputs % p.d_mul;
    let tap = at / p.row_outputs / p.d_mul;
    var value = parameters[((channel * p.slices + tap / 4u) * p.d_mul + s) * 4u + tap % 4u];
    if s % p.taps == tap && s < p.d_mul / p.taps * p.taps {
        value += 1.0;
    }
    loaded[at] = value;
{% else %}
    let output = at % p.row_outputs;
    let input = at / p.row_outputs % p.row_inputs;
    let tap = at / p.row_outputs / p.row_inputs;
    var value = 0.0;
    // What only pads the kernel to whole slices is zero.
    if output < p.outputs && input < p.inputs {
        value = parameters[((output * p.slices + input / 4u) * p.taps + tap) * 4u + input % 4u];
    }
    loaded[at] = value;
{% endif %}
}
