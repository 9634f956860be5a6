// Gradients of several runs, added up, for all parameters at once.
//
// Grid: x and y over the elements of the arenas (as vec4), in rows of p.row.
{% include "training/hyperparameters.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> hyperparameters: Hyperparameters;
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row + id.x;
    if id.x >= p.row || at >= p.length {
        return;
    }
    // Not a product: what is no longer wanted may be no number.
    let kept = select(vec4<f32>(), sums[at], hyperparameters.kept != 0.0);
    sums[at] = kept + hyperparameters.share * gradients[at];
}
