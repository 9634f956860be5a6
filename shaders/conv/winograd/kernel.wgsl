// Winograd F({{ m }}×{{ m }}, 3×3), once, when a model is loaded: G g Gᵀ of every kernel. Four outputs of one input channel per
// invocation.
//
// Grid: x over the vectors of one tap.
{% include "common/params.wgsl" %}
// [tap][input channel][output slice]
@group(0) @binding(1) var<storage, read> taps: array<vec4<f32>>;
// [place in the tile][input channel][output slice]
@group(0) @binding(2) var<storage, read_write> kernel: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let index = id.x;
    if index >= p.length {
        return;
    }
{% for y in range(3) %}
{% for x in range(3) %}
    let g{{ y }}_{{ x }} = taps[{{ 3 * y + x }}u * p.length + index];
{% endfor %}
{% endfor %}
    var at = index;
{% for i in range(side) %}
{% for x in range(3) %}
    let t{{ i }}_{{ x }} = {{ combine(matrix[i], "g#_" ~ x) }};
{% endfor %}
{% for j in range(side) %}
    kernel[at] = {{ combine(matrix[j], "t" ~ i ~ "_#") }};
    at += p.length;
{% endfor %}
{% endfor %}
}
