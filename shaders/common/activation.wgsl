{# Activations that only bound their argument share one pipeline: their bounds come with the parameters, and so do slope
and offset of the others that have any. A network that overflows must say so: what is NaN stays NaN, whatever the
activation. -#}
{% include "common/number.wgsl" %}

fn activate(x: vec4<f32>) -> vec4<f32> {
{% if activation == "bounds" %}
    return bounded(x, vec4<f32>(p.lower), vec4<f32>(p.upper));
{% elif activation == "leaky_relu" %}
    return select(x * p.lower, x, x >= vec4<f32>());
{% elif activation == "ramp" %}
    return bounded(x * p.lower + p.upper, vec4<f32>(0.0), vec4<f32>(1.0));
{% elif activation == "hard_swish" %}
    return x * bounded(x * (1.0 / 6.0) + 0.5, vec4<f32>(0.0), vec4<f32>(1.0));
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
