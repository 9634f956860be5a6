// Values around a map ({{ mode }}). One pixel and four channels per invocation.
//
// Grid: x over output pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

const NOWHERE: u32 = 0xffffffffu;

// The place in a row of `len` values that continues it at `index` − `before`.
fn place(index: u32, before: u32, len: u32) -> u32 {
    let at = i32(index) - i32(before);
    let last = i32(len) - 1;
{% if mode == "zeros" %}
    return select(NOWHERE, u32(at), at >= 0 && at <= last);
{% elif mode == "reflect" %}
    return u32(select(abs(at), 2 * last - at, at > last));
{% elif mode == "replicate" %}
    return u32(clamp(at, 0, last));
{% else %}
    return u32(select(select(at, at - last - 1, at > last), at + last + 1, at < 0));
{% endif %}
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let slice = id.y % p.slices;
    let n = id.y / p.slices;
    let item = place(n % p.items, p.before_item, p.in_items);
    let row = place(id.x / p.width, p.before_row, p.in_height);
    let column = place(id.x % p.width, p.before_column, p.in_width);
    var value = vec4<{{ stored }}>({{ narrow }}(p.value));
    if item != NOWHERE && row != NOWHERE && column != NOWHERE {
        let in_slices = (p.in_channels + 3u) / 4u;
        let first = (n / p.items * p.in_items + item) * in_slices;
        let pixel = row * p.in_width + column;
        for (var lane = 0u; lane < 4u; lane++) {
            let c = place(min(slice * 4u + lane, p.channels - 1u), p.before_channel, p.in_channels);
            if c != NOWHERE {
                value[lane] = input[((first + c / 4u) * p.in_height * p.in_width + pixel) * 4u + c % 4u];
            }
        }
    }
    output[id.y * p.area + id.x] = {{ narrow4 }}(used_lanes({{ widen4 }}(value), slice, p.channels));
}
