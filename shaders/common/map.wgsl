// Feature maps are stored channel-blocked (NCHW4): slices of four channels, one vec4 of {{ stored }} per pixel. Element
// `((n · slices + slice) · height + y) · width + x` holds channels 4·slice … 4·slice + 3 of a pixel. Unused lanes, those beyond
// the last channel, are zero in every map: what reads them may multiply them by the zero weights that they meet.

// A value of a slice with its unused lanes set to zero.
fn used_lanes(value: vec4<f32>, slice: u32, channels: u32) -> vec4<f32> {
    return select(vec4<f32>(), value, vec4<u32>(4u * slice) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(channels));
}
