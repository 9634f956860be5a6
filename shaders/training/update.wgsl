// The optimiser's step ({{ rule }}), for all parameters at once.
//
// Grid: x and y over the elements of the arenas (as vec4), in rows of p.row.
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
// What changes from step to step: the map [1, 8, 1, 1].
@group(0) @binding(1) var<storage, read> hyperparameters: array<f32>;
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>;
{% if rule == "adam_w" %}
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row + id.x;
    if id.x >= p.row || at >= p.length {
        return;
    }
    let rate = hyperparameters[0];
    let momentum = hyperparameters[1];
    // The first ones decay.
    let decay = select(0.0, hyperparameters[2], at < p.decayed);
    let parameter = parameters[at];
{% if rule == "adam_w" %}
    let gradient = gradients[at];
    let m = momentum * first[at] + (1.0 - momentum) * gradient;
    let v = hyperparameters[3] * second[at] + (1.0 - hyperparameters[3]) * gradient * gradient;
    first[at] = m;
    second[at] = v;
    let step = hyperparameters[5] * m / (sqrt(v) * hyperparameters[6] + hyperparameters[4]);
    parameters[at] = parameter - rate * decay * parameter - step;
{% else %}
    let gradient = gradients[at] + decay * parameter;
    let m = momentum * first[at] + gradient;
    first[at] = m;
{% if rule == "nesterov" %}
    parameters[at] = parameter - rate * (gradient + momentum * m);
{% else %}
    parameters[at] = parameter - rate * m;
{% endif %}
{% endif %}
}
