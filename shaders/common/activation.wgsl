{# Activations that only bound their argument share one pipeline: their bounds come with the parameters, and so do slope
and offset of the others that have any. -#}
fn activate(x: vec4<f32>) -> vec4<f32> {
{% if activation == "bounds" %}
    // A network that overflows must say so: what is not a number stays none. It is told by its bits, because compilers
    // may take it that comparisons never see one.
    let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    return select(clamp(x, vec4<f32>(p.lower), vec4<f32>(p.upper)), x, magnitude > vec4<u32>(0x7f800000u));
{% elif activation == "leaky_relu" %}
    return select(x * p.lower, x, x >= vec4<f32>());
{% elif activation == "ramp" %}
    return clamp(x * p.lower + p.upper, vec4<f32>(0.0), vec4<f32>(1.0));
{% elif activation == "hard_swish" %}
    return x * clamp(x * (1.0 / 6.0) + 0.5, vec4<f32>(0.0), vec4<f32>(1.0));
{% elif activation == "sigmoid" %}
    return logistic(x);
{% elif activation == "silu" %}
    return x * logistic(x);
{% elif activation == "tanh" %}
    // The built-in function overflows for large arguments in some implementations.
    return 2.0 * logistic(2.0 * x) - 1.0;
{% endif %}
}
{% if activation in ["sigmoid", "silu", "tanh"] %}

{% include "common/logistic.wgsl" %}
{% endif %}
