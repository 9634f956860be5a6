// Kernel composition, the heart of DO-Conv: kernel[o, j, m] = Σ_s D[c, m, s] · W[o, j, s], where c is the input channel
// that the pairing gives. The result lies as the convolutions want it: [tap][input channel within the group][output].
//
// {{ taps }} taps per invocation, so that what is loaded of W is used more than once.
{% if vector %}
// Of four outputs side by side: in one group they have the same input channel, and so the same D.
{% endif %}
//
// Grid: x over outputs, then in-group input channels, then taps.
{% set number = "vec4<f32>" if vector else "f32" %}
{% include "common/params.wgsl" %}
// [s][input channel within the group][output]
@group(0) @binding(1) var<storage, read> w: array<{{ number }}>;
// [tap][s][input channel]
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read_write> kernel: array<{% if vector %}vec4<{{ stored }}>{% else %}{{ stored }}{% endif %}>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let index = id.x;
    if index >= p.length {
        return;
    }
    let o = index % p.row_outputs;
    let j = index / p.row_outputs % p.row_inputs;
    let first_tap = index / p.row_outputs / p.row_inputs * {{ taps }}u;
{% for tap in range(taps) %}
    var sum{{ tap }} = {{ number }}();
{% endfor %}
    // Rows and columns that only pad the kernel to whole slices are zero.
    if o < p.outputs && j < p.group_inputs {
{% if vector %}
        let channel = j;
{% elif pairing == "torch" %}
        let channel = (o * p.group_inputs + j) % p.inputs;
{% else %}
        let channel = o / p.group_outputs * p.group_inputs + j;
{% endif %}
        var from_w = j * p.outputs + o;
        var from_d = first_tap * p.d_mul * p.inputs + channel;
        for (var s = 0u; s < p.d_mul; s++) {
            let w_s = w[from_w];
{% for tap in range(taps) %}
            sum{{ tap }} += w_s * d[from_d + {{ tap }}u * p.d_mul * p.inputs];
{% endfor %}
            from_w += p.group_inputs * p.outputs;
            from_d += p.inputs;
        }
    }
{% for tap in range(taps) %}
    kernel[((first_tap + {{ tap }}u) * p.row_inputs + j) * p.row_outputs + o] = {% if vector %}{{ narrow4 }}{% else %}{{ narrow }}{% endif %}(sum{{ tap }});
{% endfor %}
}
