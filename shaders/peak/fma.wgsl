// What arithmetic can do: independent chains x ← x · factor + term, in registers. Factor and term are 1, which the compiler
// cannot know; so a chain counts its steps, and every number on the way is exact. Chains begin at another number in every
// round, or a compiler might see that all rounds are the same.
//
// Grid: x over invocations.
{% if scalar == "f16" %}
enable f16;

{% endif %}
{% include "common/params.wgsl" %}
// Per invocation, the sum of where its chains have ended.
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let factor = vec4<{{ scalar }}>({{ scalar }}(p.factor));
    let term = vec4<{{ scalar }}>({{ scalar }}(p.term));
    var total = vec4<f32>();
    for (var round = 0u; round < p.rounds; round++) {
        let first = vec4<{{ scalar }}>(vec4<u32>(0u, 1u, 2u, 3u) + (id.x % 4u) + (round % 4u));
{% for chain in range(chains) %}
        var x{{ chain }} = first + {{ scalar }}({{ chain }}u);
{% endfor %}
        for (var step = 0u; step < {{ steps // unrolled }}u; step++) {
{% for _ in range(unrolled) %}
{% for chain in range(chains) %}
            x{{ chain }} = fma(x{{ chain }}, factor, term);
{% endfor %}
{% endfor %}
        }
{% for chain in range(chains) %}
        total += vec4<f32>(x{{ chain }});
{% endfor %}
    }
    output[id.x] = total;
}
