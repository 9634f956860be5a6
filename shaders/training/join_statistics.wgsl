// Mean and variance of every channel from those of the parts, one after the other (Chan, Golub and LeVeque, 1979).
//
// Grid: x over slices.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
// [part][mean or squares][slice]
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
// [mean or variance][slice]
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = id.x;
    if slice >= p.slices {
        return;
    }
    var mean = vec4<f32>();
    var squares = vec4<f32>();
    for (var part = 0u; part < p.parts; part++) {
        let before = f32(part * p.part_pixels);
        let own = f32(min(p.part_pixels, p.pixels - part * p.part_pixels));
        let delta = parts[part * 2u * p.slices + slice] - mean;
        let share = own / (before + own);
        mean += delta * share;
        squares += parts[(part * 2u + 1u) * p.slices + slice] + delta * delta * (before * share);
    }
    output[slice] = mean;
    output[p.slices + slice] = squares / f32(p.pixels);
}
