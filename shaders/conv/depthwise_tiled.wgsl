// Depthwise convolution, {{ kernel[0] }}×{{ kernel[1] }} taps, through workgroup memory: 8 × 8 pixels of one slice per workgroup, which first stages
// the {{ staged[0] }} × {{ staged[1] }} input pixels that these share.
//
// Grid: x over tiles of pixels (rows × columns of tiles), y over slices × batch.
{% include "common/map.wgsl" %}
{% include "conv/bindings.wgsl" %}

var<workgroup> staged: array<vec4<{{ loaded }}>, {{ staged[0] * staged[1] }}>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group_in_part: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group_in_part + first_group();
    let row_tiles = (p.out_width + 7u) / 8u;
    let out_y = tile.x / row_tiles * 8u;
    let out_x = tile.x % row_tiles * 8u;
    let slice = tile.y % p.out_slices;
    let base = tile.y * p.in_height * p.in_width;
    let row = i32(out_y * {{ stride[0] }}u) - i32(p.pad_top);
    let column = i32(out_x * {{ stride[1] }}u) - i32(p.pad_left);
    for (var at = index; at < {{ staged[0] * staged[1] }}u; at += 64u) {
        // Negative coordinates wrap to huge ones, so that one comparison serves both ends.
        let y = u32(row + i32(at / {{ staged[1] }}u));
        let x = u32(column + i32(at % {{ staged[1] }}u));
        let inside = y < p.in_height && x < p.in_width;
        staged[at] = select(vec4<{{ loaded }}>(), {{ load4 }}(input[base + select(0u, y * p.in_width + x, inside)]), inside);
    }
    workgroupBarrier();

    var sum = vec4<f32>();
    for (var tap_y = 0u; tap_y < {{ kernel[0] }}u; tap_y++) {
        let from_staged = (local.y * {{ stride[0] }}u + tap_y * {{ dilation[0] }}u) * {{ staged[1] }}u + local.x * {{ stride[1] }}u;
        let weights = tap_y * {{ kernel[1] }}u * p.out_slices + slice;
{% if half_sums %}
        // Half precision has the bits for sums of a row only.
        var part = vec4<f16>();
{% endif %}
{% for tap in range(kernel[1]) %}
        {{ sum }} += staged[from_staged + {{ tap * dilation[1] }}u] * {{ load4 }}(kernel[weights + {{ tap }}u * p.out_slices]);
{% endfor %}
{% if half_sums %}
        sum += vec4<f32>(part);
{% endif %}
    }
    let y = out_y + local.y;
    let x = out_x + local.x;
    if y < p.out_height && x < p.out_width {
        store(sum, slice, (tile.y * p.out_height + y) * p.out_width + x);
    }
}
