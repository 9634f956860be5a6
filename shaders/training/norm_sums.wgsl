// The gradients of a batch norm's bias and weight: sums over batch and pixels of the gradient, and of the gradient times what
// was normalised, for one part of them per invocation.
//
// Grid: x over slices, y over parts of the pixels.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
// [mean or variance][slice]
@group(0) @binding(2) var<storage, read> statistics: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> grad_output: array<vec4<f32>>;
// [part][bias or weight][slice]
@group(0) @binding(4) var<storage, read_write> parts: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let slice = id.x;
    let part = id.y;
    if slice >= p.slices || part >= p.parts {
        return;
    }
    let mean = statistics[slice];
    let scale = inverseSqrt(statistics[p.slices + slice] + p.eps);
    var bias = vec4<f32>();
    var weight = vec4<f32>();
    var pixel = part * p.part_pixels;
    let end = min(pixel + p.part_pixels, p.pixels);
    while pixel < end {
        let place = pixel % p.area;
        let count = min(end - pixel, p.area - place);
        let first = (pixel / p.area * p.slices + slice) * p.area + place;
        var bias_run = vec4<f32>();
        var weight_run = vec4<f32>();
        for (var i = 0u; i < count; i++) {
            let gradient = grad_output[first + i];
            bias_run += gradient;
            weight_run += gradient * (input[first + i] - mean);
        }
        bias += bias_run;
        weight += weight_run;
        pixel += count;
    }
    parts[part * 2u * p.slices + slice] = bias;
    parts[(part * 2u + 1u) * p.slices + slice] = weight * scale;
}
