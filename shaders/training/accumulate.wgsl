// Gradients of several runs, added up, for all parameters at once.
//
// Grid: x over the elements of the arenas (as vec4).
{% include "training/hyperparameters.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> hyperparameters: Hyperparameters;
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    // Not a product: what is no longer wanted may be NaN.
    let kept = select(vec4<f32>(), sums[at], hyperparameters.kept != 0.0);
    sums[at] = kept + hyperparameters.share * gradients[at];
}
