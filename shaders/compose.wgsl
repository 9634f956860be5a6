// Kernel composition, the heart of DO-Conv: kernel[o, j, m] = Σ_s D[c, m, s] · W[o, j, s], where c is the input channel
// that the pairing gives. The result lies as the convolutions want it: [tap][input channel within the group][output].
//
// Grid: x over output channels, y over in-group input channels × taps.
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
// [s][input channel within the group][output]
@group(0) @binding(1) var<storage, read> w: array<f32>;
// [tap][s][input channel]
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read_write> kernel: array<{{ stored }}>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let o = id.x;
    let j = id.y % p.row_inputs;
    let tap = id.y / p.row_inputs;
    if o >= p.row_outputs {
        return;
    }
    var sum = 0.0;
    // Rows and columns that only pad the kernel to whole slices are zero.
    if o < p.outputs && j < p.group_inputs {
{% if pairing == "torch" %}
        let channel = (o * p.group_inputs + j) % p.inputs;
{% else %}
        let channel = o / p.group_outputs * p.group_inputs + j;
{% endif %}
        var from_w = j * p.outputs + o;
        var from_d = tap * p.d_mul * p.inputs + channel;
        for (var s = 0u; s < p.d_mul; s++) {
            sum += w[from_w] * d[from_d];
            from_w += p.group_inputs * p.outputs;
            from_d += p.inputs;
        }
    }
    kernel[(tap * p.row_inputs + j) * p.row_outputs + o] = {{ narrow }}(sum);
}
