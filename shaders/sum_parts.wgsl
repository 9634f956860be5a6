// The sum of several maps that lie one behind the other, always in the same order: the second pass of every sum that is
// split over many invocations.
//
// Grid: x and y over the elements of a map (as vec4), in rows of p.row.
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row + id.x;
    if id.x >= p.row || at >= p.length {
        return;
    }
    var sum = vec4<f32>();
    for (var part = 0u; part < p.parts; part++) {
        sum += parts[part * p.length + at];
    }
    output[at] = sum;
}
