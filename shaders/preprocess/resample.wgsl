// Pillow's fixed-point resampling: weights with {{ fraction_bits }} fractional bits, and 8 bits per channel for every result. A pixel
// is one u32, red in the lowest byte.
const HALF: i32 = 1 << {{ fraction_bits - 1 }}u;

fn packed(sums: vec3<i32>) -> u32 {
    let rgb = clamp(sums >> vec3<u32>({{ fraction_bits }}u), vec3<i32>(0), vec3<i32>(255));
    return u32(rgb.x | (rgb.y << 8u) | (rgb.z << 16u));
}

fn unpacked(rgb: u32) -> vec3<i32> {
    return vec3<i32>((vec3<u32>(rgb) >> vec3<u32>(0u, 8u, 16u)) & vec3<u32>(255u));
}
