// The gradient of what an activation ({{ activation }}) was applied to. One pixel and four channels per invocation.
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
{% if activation == "bounds" %}
// The result of the activation, which tells as much as its argument.
{% else %}
// The argument of the activation.
{% endif %}
@group(0) @binding(1) var<storage, read> argument: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad_output: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

fn between(x: vec4<f32>, lower: f32, upper: f32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(1.0), (x > vec4<f32>(lower)) & (x < vec4<f32>(upper)));
}
{% if activation in ["sigmoid", "silu", "tanh"] %}

{% include "common/number.wgsl" %}

{% include "common/logistic.wgsl" %}
{% endif %}

fn slope(x: vec4<f32>) -> vec4<f32> {
{% if activation == "bounds" %}
    return between(x, p.lower, p.upper);
{% elif activation == "leaky_relu" %}
    return select(vec4<f32>(p.lower), vec4<f32>(1.0), x > vec4<f32>());
{% elif activation == "ramp" %}
    return between(x * p.lower + p.upper, 0.0, 1.0) * p.lower;
{% elif activation == "hard_swish" %}
    return select(select(x / 3.0 + 0.5, vec4<f32>(1.0), x >= vec4<f32>(3.0)), vec4<f32>(), x <= vec4<f32>(-3.0));
{% elif activation == "sigmoid" %}
    let s = logistic(x);
    return s * (1.0 - s);
{% elif activation == "silu" %}
    let s = logistic(x);
    return s * (1.0 + x * (1.0 - s));
{% elif activation == "tanh" %}
    let s = 2.0 * logistic(2.0 * x) - 1.0;
    return 1.0 - s * s;
{% endif %}
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let at = id.y * p.area + id.x;
    output[at] = slope(argument[at]) * grad_output[at];
}
