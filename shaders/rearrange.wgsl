// A strided view of a map: element [n, c, y, x] comes from the sum of one distance per axis, counted in NCHW order within
// the same element of the batch. One pixel and four channels per invocation.
//
// Grid: x over output pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

fn distance(index: u32, inner: u32, outer_stride: i32, inner_stride: i32) -> i32 {
    return i32(index / inner) * outer_stride + i32(index % inner) * inner_stride;
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let slice = id.y % p.slices;
    let n = id.y / p.slices;
    let first = i32(p.offset)
        + distance(n % p.items, p.item_inner, p.item_outer_stride, p.item_inner_stride)
        + distance(id.x / p.width, p.row_inner, p.row_outer_stride, p.row_inner_stride)
        + distance(id.x % p.width, p.column_inner, p.column_outer_stride, p.column_inner_stride);
    let element = n / p.items * p.in_items;
    var value = vec4<{{ stored }}>();
    for (var lane = 0u; lane < 4u; lane++) {
        let channel = slice * 4u + lane;
        if channel < p.channels {
            let way = distance(channel, p.channel_inner, p.channel_outer_stride, p.channel_inner_stride);
            let source = u32(first + way);
            // From NCHW to slices.
            let map = source / p.in_area;
            let c = map % p.in_channels;
            let in_slice = (element + map / p.in_channels) * p.in_slices + c / 4u;
            value[lane] = input[(in_slice * p.in_area + source % p.in_area) * 4u + c % 4u];
        }
    }
    output[id.y * p.area + id.x] = value;
}
