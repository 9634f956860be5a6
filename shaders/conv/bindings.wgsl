{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
// [tap][input channel within the group][slice of outputs]
@group(0) @binding(2) var<storage, read> kernel: array<vec4<{{ stored }}>>;
{% if products or split %}
{% if products %}
// Winograd's products: a tap has groups of its own, and so [tap][input channel within the group][slice of the group's
// outputs]. What they add up to is not the result yet.
{% else %}
// A map for every part of the sums, one behind the other.
{% endif %}
@group(0) @binding(4) var<storage, read_write> output: array<vec4<f32>>;

fn store(sum: vec4<f32>, slice: u32, at: u32) {
    output[at] = sum;
}
{% else %}
{% include "conv/store.wgsl" %}
{% endif %}
