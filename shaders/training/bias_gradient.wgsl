// The gradient of a bias: the sum of a map over batch and pixels, for one part of them per invocation.
//
// Grid: x over slices, y over parts of the pixels.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> grad_output: array<vec4<f32>>;
// [part][slice]
@group(0) @binding(2) var<storage, read_write> parts: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = id.x;
    let part = id.y;
    if slice >= p.slices || part >= p.parts {
        return;
    }
    var sum = vec4<f32>();
    var pixel = part * p.part_pixels;
    let end = min(pixel + p.part_pixels, p.pixels);
    while pixel < end {
        let place = pixel % p.area;
        let count = min(end - pixel, p.area - place);
        let first = (pixel / p.area * p.slices + slice) * p.area + place;
        for (var i = 0u; i < count; i++) {
            sum += grad_output[first + i];
        }
        pixel += count;
    }
    parts[part * p.slices + slice] = sum;
}
