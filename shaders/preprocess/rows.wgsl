// The square of an image that a network sees, with another number of pixels per row. What is transparent is shown
// on white.
//
// `weights` has 1 + taps numbers for every output pixel: the first input pixel, and the weights from there on; those that
// would be beyond the row are 0.
//
// Grid: x over output pixels of a row, y over the rows of the square.
{% include "preprocess/resample.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var photo: texture_2d<f32>;
@group(0) @binding(2) var<storage, read> weights: array<i32>;
@group(0) @binding(3) var<storage, read_write> narrow: array<u32>;

fn on_white(at: vec2<u32>) -> vec3<i32> {
    // 8-bit values come as multiples of 1/255.
    let texel = vec4<u32>(textureLoad(photo, at, 0) * 255.0 + 0.5);
    return vec3<i32>((texel.rgb * texel.a + 255u * (255u - texel.a) + 127u) / 255u);
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.width || id.y >= p.side {
        return;
    }
    let table = id.x * (1u + p.taps);
    let start = u32(weights[table]);
    let taps = min(p.taps, p.side - start);
    var sums = vec3<i32>(HALF);
    for (var tap = 0u; tap < taps; tap++) {
        sums += weights[table + 1u + tap] * on_white(vec2<u32>(start + tap, id.y));
    }
    narrow[id.y * p.width + id.x] = packed(sums);
}
