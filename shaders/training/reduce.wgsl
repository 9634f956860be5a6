// Sums along those axes on which the output has the extent 1: so many items, rows and columns of the input for each of its own
// as the parameters say{% if channels %}, and all channels{% endif %}.
//
// Grid: x over pixels, y over slices × batch of the output.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let first_item = id.y / p.slices * p.items;
    let first_row = id.x / p.width * p.rows;
    let first_column = id.x % p.width * p.columns;
    var total = vec4<f32>();
    for (var item = first_item; item < first_item + p.items; item++) {
{% if channels %}
        for (var slice = 0u; slice < p.in_slices; slice++) {
            let real = vec4<u32>(slice * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.in_channels);
{% else %}
            let slice = id.y % p.slices;
{% endif %}
            for (var row = first_row; row < first_row + p.rows; row++) {
                let line = ((item * p.in_slices + slice) * p.in_height + row) * p.in_width + first_column;
                var sum = vec4<f32>();
                for (var column = 0u; column < p.columns; column++) {
                    sum += input[line + column];
                }
{% if channels %}
                total += select(vec4<f32>(), sum, real);
            }
        }
{% else %}
                total += sum;
            }
{% endif %}
    }
{% if channels %}
    total = vec4<f32>(total.x + total.y + total.z + total.w, 0.0, 0.0, 0.0);
{% endif %}
    output[id.y * p.area + id.x] = total;
}
