// The optimiser's step ({{ rule }}), for all parameters at once.
//
// Grid: x over the elements of the arenas (as vec4).
{% include "training/hyperparameters.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> hyperparameters: Hyperparameters;
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>;
{% if rule == "adam_w" %}
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>;
{% endif %}
{% if clips %}
// The sum of the squares of all gradients: the map [1, 1, 1, 1].
@group(0) @binding(6) var<storage, read> squares: array<f32>;
{% endif %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    // In runs whose gradients are only added up, no step is taken.
    if hyperparameters.takes_step == 0.0 {
        return;
    }
    let rate = hyperparameters.rate;
    let momentum = hyperparameters.momentum;
    // The first ones decay.
    let decay = select(0.0, hyperparameters.decay, at < p.decayed);
    let parameter = parameters[at];
{% if clips %}
    let own = gradients[at] * min(1.0, hyperparameters.largest_norm / (sqrt(squares[0]) + 1e-6));
{% else %}
    let own = gradients[at];
{% endif %}
{% if rule == "adam_w" %}
    let gradient = own;
    let m = momentum * first[at] + (1.0 - momentum) * gradient;
    let v = hyperparameters.second_momentum * second[at] + (1.0 - hyperparameters.second_momentum) * gradient * gradient;
    first[at] = m;
    second[at] = v;
    let step = hyperparameters.step * m / (sqrt(v) * hyperparameters.unbias + hyperparameters.eps);
    parameters[at] = parameter - rate * decay * parameter - step;
{% else %}
    let gradient = own + decay * parameter;
    let m = momentum * first[at] + gradient;
    first[at] = m;
{% if rule == "nesterov" %}
    parameters[at] = parameter - rate * (gradient + momentum * m);
{% else %}
    parameters[at] = parameter - rate * m;
{% endif %}
{% endif %}
}
