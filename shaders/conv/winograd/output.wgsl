// Winograd F({{ m }}×{{ m }}, 3×3), last part: Aᵀ M A of every tile of products, {{ m }}×{{ m }} outputs, with bias, residual and activation. One
// slice of one tile per invocation; neighbours take neighbouring tiles.
//
// The products: [place in the tile][output slice][tile].
//
// Grid: x over tiles, y over output slices.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> products: array<vec4<f32>>;
{% include "conv/store.wgsl" %}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let tile = id.x;
    let slice = id.y;
    if tile >= p.tiles || slice >= p.out_slices {
        return;
    }
    var from_products = slice * p.tiles + tile;
    let step = p.out_slices * p.tiles;
{% for i in range(side) %}
{% for j in range(side) %}
    let m{{ i }}_{{ j }} = products[from_products];
    from_products += step;
{% endfor %}
{% for j in range(m) %}
    let t{{ i }}_{{ j }} = {{ combine(matrix[j], "m" ~ i ~ "_#") }};
{% endfor %}
{% endfor %}
    let image = tile / p.image_tiles;
    let place = tile % p.image_tiles;
    let row = place / p.row_tiles * {{ m }}u;
    let column = place % p.row_tiles * {{ m }}u;
    let base = (image * p.out_slices + slice) * p.out_height;
{% if compact %}
    // One after the other, so that there is less to compile.
    var outputs = array<vec4<f32>, {{ m * m }}>(
{% for i in range(m) %}
{% for j in range(m) %}
        {{ combine(matrix[i], "t#_" ~ j) }},
{% endfor %}
{% endfor %}
    );
    for (var k = 0u; k < {{ m * m }}u; k++) {
        let y = row + k / {{ m }}u;
        let x = column + k % {{ m }}u;
        if y < p.out_height && x < p.out_width {
            store(outputs[k], slice, (base + y) * p.out_width + x);
        }
    }
{% else %}
{% for i in range(m) %}
    if row + {{ i }}u < p.out_height {
        let line = (base + row + {{ i }}u) * p.out_width + column;
{% for j in range(m) %}
        if column + {{ j }}u < p.out_width {
            store({{ combine(matrix[i], "t#_" ~ j) }}, slice, line + {{ j }}u);
        }
{% endfor %}
    }
{% endfor %}
{% endif %}
}
