// Winograd F({{ m }}×{{ m }}, 3×3), first part: Bᵀ d B of every {{ side }}×{{ side }} tile of inputs, zeros outside of the map. {{ channels }} channels of
// one tile per invocation: four of them do not fit into the registers of GPUs. Neighbours take the other pair of channels of the
// slice, and neighbouring tiles.
//
// The result: [place in the tile][input slice][tile], tiles of all images one after the other.
//
// Grid: x over tiles, or tiles × pairs of channels, y over input slices.
{% include "common/map.wgsl" %}
{% set vector = "vec2" if channels == 2 else "vec4" %}
{# Elements of the arrays are pairs of channels, or slices. -#}
{% set element = "2u * (" if channels == 2 else "" %}
{% set of_pair = ") + pair" if channels == 2 else "" %}
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> input: array<{{ vector }}<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> transformed: array<{{ vector }}<f32>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
{% if channels == 2 %}
    let tile = id.x / 2u;
    let pair = id.x % 2u;
{% else %}
    let tile = id.x;
{% endif %}
    let slice = id.y;
    if tile >= p.tiles || slice >= p.in_slices {
        return;
    }
    let image = tile / p.image_tiles;
    let place = tile % p.image_tiles;
    let base = (image * p.in_slices + slice) * p.in_height * p.in_width;
    let row = i32(place / p.row_tiles * {{ m }}u) - i32(p.pad_top);
    let column = i32(place % p.row_tiles * {{ m }}u) - i32(p.pad_left);
{% if compact %}
    // One after the other, so that there is less to compile.
    var d: array<{{ vector }}<f32>, {{ side * side }}>;
    for (var k = 0u; k < {{ side * side }}u; k++) {
        // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
        let y = u32(row + i32(k / {{ side }}u));
        let x = u32(column + i32(k % {{ side }}u));
        let inside = y < p.in_height && x < p.in_width;
        d[k] = select({{ vector }}<f32>(), {{ vector }}<f32>(input[{{ element }}base + select(0u, y * p.in_width + x, inside){{ of_pair }}]), inside);
    }
{% else %}
{% for i in range(side) %}
    let y{{ i }} = u32(row + {{ i }});
    let x{{ i }} = u32(column + {{ i }});
{% endfor %}
{% for j in range(side) %}
{% for i in range(side) %}
    let inside{{ i }}_{{ j }} = y{{ i }} < p.in_height && x{{ j }} < p.in_width;
    let d{{ i }}_{{ j }} = select({{ vector }}<f32>(), {{ vector }}<f32>(input[{{ element }}base + select(0u, y{{ i }} * p.in_width + x{{ j }}, inside{{ i }}_{{ j }}){{ of_pair }}]), inside{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
{% endif %}
{% for j in range(side) %}
{% for i in range(side) %}
    let t{{ i }}_{{ j }} = {{ combine(matrix[i], ("d[# * " ~ side ~ " + " ~ j ~ "]") if compact else "d#_" ~ j) }};
{% endfor %}
{% endfor %}
    var at = {{ element }}slice * p.tiles + tile{{ of_pair }};
    let step = {{ element }}p.in_slices * p.tiles{% if channels == 2 %}){% endif %};
{% for i in range(side) %}
{% for j in range(side) %}
    transformed[at] = {{ combine(matrix[j], "t" ~ i ~ "_#") }};
    at += step;
{% endfor %}
{% endfor %}
}
