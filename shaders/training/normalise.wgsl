// A batch norm with given statistics; then a residual and bounds. One pixel and four channels per invocation.
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
// [mean or variance][slice]
@group(0) @binding(2) var<storage, read> statistics: array<vec4<f32>>;
// [bias or weight][slice]
@group(0) @binding(3) var<storage, read> affine: array<vec4<f32>>;
// Read only where there is one.
@group(0) @binding(4) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;

{% include "common/activation.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let at = id.y * p.area + id.x;
    let slice = id.y % p.slices;
    let scale = affine[p.slices + slice] * inverseSqrt(statistics[p.slices + slice] + p.eps);
    var value = (input[at] - statistics[slice]) * scale + affine[slice];
    if p.residual != 0u {
        value += residual[at];
    }
    output[at] = used_lanes(activate(value), slice, p.channels);
}
