// The gradient of a map that was padded ({{ mode }}): every pixel gets the gradients of all padded pixels that are like it.
// One pixel and four channels per invocation.
//
// Grid: x over pixels of the map, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> grad_output: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

struct Range {
    first: u32,
    count: u32,
}

// The indices of a padded row that are like index `at` of the `len` values it continues: its own place, and those before
// and behind the row.
fn copies(at: u32, before: u32, len: u32, padded: u32) -> array<Range, 3> {
    let own = Range(before + at, 1u);
{% if mode == "zeros" %}
    return array<Range, 3>(own, Range(0u, 0u), Range(0u, 0u));
{% elif mode == "replicate" %}
    let after = padded - before - len;
    return array<Range, 3>(own, Range(0u, select(0u, before, at == 0u)), Range(before + len, select(0u, after, at + 1u == len)));
{% elif mode == "reflect" %}
    let behind = before + 2u * (len - 1u) - at;
    return array<Range, 3>(
        own,
        Range(before - min(at, before), select(0u, 1u, at > 0u && at <= before)),
        Range(behind, select(0u, 1u, at + 1u < len && behind < padded)),
    );
{% else %}
    let behind = before + at + len;
    return array<Range, 3>(
        own,
        Range(before + at - min(len, before + at), select(0u, 1u, before + at >= len)),
        Range(behind, select(0u, 1u, behind < padded)),
    );
{% endif %}
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let area = p.out_height * p.out_width;
    if id.x >= area || id.y >= p.maps {
        return;
    }
    var rows = copies(id.x / p.out_width, p.before_row, p.out_height, p.in_height);
    var columns = copies(id.x % p.out_width, p.before_column, p.out_width, p.in_width);
    let base = id.y * p.in_height * p.in_width;
    var sum = vec4<f32>();
    for (var i = 0u; i < 3u; i++) {
        for (var y = 0u; y < rows[i].count; y++) {
            let line = base + (rows[i].first + y) * p.in_width;
            for (var j = 0u; j < 3u; j++) {
                for (var x = 0u; x < columns[j].count; x++) {
                    sum += grad_output[line + columns[j].first + x];
                }
            }
        }
    }
    output[id.y * area + id.x] = sum;
}
