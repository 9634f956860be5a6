@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4<{{ stored }}>>;
// Whether there is one is no other pipeline: compiling takes longer than asking. Where there is none, any map is bound.
@group(0) @binding(5) var<storage, read> residual: array<vec4<{{ stored }}>>;

{% include "common/activation.wgsl" %}

// Bias, residual and activation, in that order.
fn store(sum: vec4<f32>, slice: u32, at: u32) {
    var y = sum + bias[slice];
    y += select(vec4<f32>(), {{ widen4 }}(residual[select(0u, at, p.residual != 0u)]), p.residual != 0u);
    output[at] = {{ narrow4 }}(used_lanes(activate(y), slice, p.out_channels));
}
