{# NaN and infinity, told by their bits: compilers may take it that there are neither NaN nor infinities, so comparisons and
min, max and clamp say nothing about them. -#}
fn magnitude_bits(x: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
}

fn is_nan(x: vec4<f32>) -> vec4<bool> {
    return magnitude_bits(x) > vec4<u32>(0x7f800000u);
}

// A clamp that keeps NaN.
fn bounded(x: vec4<f32>, lower: vec4<f32>, upper: vec4<f32>) -> vec4<f32> {
    return select(clamp(x, lower, upper), x, is_nan(x));
}
