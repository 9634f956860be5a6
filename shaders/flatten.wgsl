// All channels and pixels of an image as the channels of a 1×1 map, in NCHW order: four of them per invocation.
//
// Grid: x over output slices, y over the batch.
{% include "common/map.wgsl" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= p.out_slices {
        return;
    }
    var value = vec4<f32>();
    for (var lane = 0u; lane < 4u; lane++) {
        let feature = id.x * 4u + lane;
        let c = feature / p.area;
        if c < p.in_channels {
            let slice = id.y * p.in_slices + c / 4u;
            value[lane] = input[(slice * p.area + feature % p.area) * 4u + c % 4u];
        }
    }
    output[id.y * p.out_slices + id.x] = value;
}
