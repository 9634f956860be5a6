@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4<{{ stored }}>>;
{% if residual %}
@group(0) @binding(5) var<storage, read> residual: array<vec4<{{ stored }}>>;
{% endif %}

{% include "common/activation.wgsl" %}

// Bias, residual and activation, in that order.
fn store(sum: vec4<f32>, slice: u32, at: u32) {
    var y = sum + bias[slice];
{% if residual %}
    y += {{ widen4 }}(residual[at]);
{% endif %}
    output[at] = {{ narrow4 }}(activate(y));
}
