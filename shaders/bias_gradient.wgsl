// The gradient of a bias: the sum of a map over batch and pixels, for one part of them per invocation.
//
// Grid: x over slices, y over parts of the pixels.
{% include "common/map.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad_output: array<vec4<f32>>;
// [part][slice]
@group(0) @binding(2) var<storage, read_write> parts: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
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
