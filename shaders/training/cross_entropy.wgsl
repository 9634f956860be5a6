// {% if gradient %}The gradient of the mean cross-entropy with respect to the logits{% else %}For every item its cross-entropy, and whether its largest logit is that of its largest target{% endif %}: one item per invocation.
//
// Grid: x over items.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
// Maps of one pixel: channels lie one behind the other.
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
{% if gradient %}
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
{% else %}
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.items {
        return;
    }
    let first = id.x * p.stride;
    var largest = logits[first];
    var predicted = 0u;
    for (var c = 1u; c < p.classes; c++) {
        if logits[first + c] > largest {
            largest = logits[first + c];
            predicted = c;
        }
    }
    var sum = 0.0;
    for (var c = 0u; c < p.classes; c++) {
        sum += exp(logits[first + c] - largest);
    }
{% if gradient %}
    var mass = 0.0;
    for (var c = 0u; c < p.classes; c++) {
        mass += targets[first + c];
    }
    for (var c = 0u; c < p.classes; c++) {
        let probability = exp(logits[first + c] - largest) / sum;
        output[first + c] = (probability * mass - targets[first + c]) / f32(p.items);
    }
    for (var c = p.classes; c < p.stride; c++) {
        output[first + c] = 0.0;
    }
{% else %}
    let log_sum = largest + log(sum);
    var loss = 0.0;
    var wanted = 0u;
    for (var c = 0u; c < p.classes; c++) {
        loss += targets[first + c] * (log_sum - logits[first + c]);
        if targets[first + c] > targets[first + wanted] {
            wanted = c;
        }
    }
    output[id.x] = vec4<f32>(loss, select(0.0, 1.0, predicted == wanted), 0.0, 0.0);
{% endif %}
}
