// The gradient of what a batch norm has normalised, through its statistics too. One pixel and four channels per invocation.
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
// [mean or variance][slice]
@group(0) @binding(2) var<storage, read> statistics: array<vec4<f32>>;
// [bias or weight][slice]
@group(0) @binding(3) var<storage, read> affine: array<vec4<f32>>;
// The gradients of these.
@group(0) @binding(4) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> grad_output: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let at = id.y * p.area + id.x;
    let slice = id.y % p.slices;
    let scale = inverseSqrt(statistics[p.slices + slice] + p.eps);
    let normalised = (input[at] - statistics[slice]) * scale;
    let mean = (sums[slice] + normalised * sums[p.slices + slice]) / p.count;
    output[at] = affine[p.slices + slice] * scale * (grad_output[at] - mean);
}
