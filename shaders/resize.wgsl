// Interpolation: every output pixel is a weighted sum over some rows and columns of the input, which two tables give.
// One pixel and four channels per invocation.
//
// Grid: x over output pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;
// [output row][tap]: x is the input row, y its weight.
@group(0) @binding(3) var<storage, read> rows: array<vec4<f32>>;
// The same for columns.
@group(0) @binding(4) var<storage, read> columns: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let first = id.y * p.in_height * p.in_width;
    let of_row = id.x / p.width * p.taps;
    let of_column = id.x % p.width * p.taps;
    var sum = vec4<f32>();
    for (var i = 0u; i < p.taps; i++) {
        let row = rows[of_row + i];
        let line = first + u32(row.x) * p.in_width;
        for (var j = 0u; j < p.taps; j++) {
            let column = columns[of_column + j];
            sum += row.y * column.y * {{ widen4 }}(input[line + u32(column.x)]);
        }
    }
    output[id.y * p.area + id.x] = {{ narrow4 }}(sum);
}
