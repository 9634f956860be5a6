// Mean, and sum of the squared distances from it, of every channel over a part of batch and pixels. The part is read twice,
// so that nothing large is subtracted from something large.
//
// Grid: x over slices, y over parts of the pixels.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
// [part][mean or squares][slice]
@group(0) @binding(2) var<storage, read_write> parts: array<vec4<f32>>;

// The sum over the part of what a map holds, or of its squared distances from a mean.
fn sum(slice: u32, first: u32, end: u32, mean: vec4<f32>, squares: bool) -> vec4<f32> {
    var sum = vec4<f32>();
    var pixel = first;
    while pixel < end {
        let place = pixel % p.area;
        let count = min(end - pixel, p.area - place);
        let start = (pixel / p.area * p.slices + slice) * p.area + place;
        var run = vec4<f32>();
        for (var i = 0u; i < count; i++) {
            let distance = input[start + i] - mean;
            run += select(distance, distance * distance, squares);
        }
        sum += run;
        pixel += count;
    }
    return sum;
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = id.x;
    let part = id.y;
    if slice >= p.slices || part >= p.parts {
        return;
    }
    let first = part * p.part_pixels;
    let end = min(first + p.part_pixels, p.pixels);
    let mean = sum(slice, first, end, vec4<f32>(), false) / f32(end - first);
    parts[part * 2u * p.slices + slice] = mean;
    parts[(part * 2u + 1u) * p.slices + slice] = sum(slice, first, end, mean, true);
}
