{# What the largest of some values is: that of a list is the largest of its elements' kinds. -#}
const MINUS_INFINITY: u32 = 0u;
const NUMBER: u32 = 1u;
const INFINITY: u32 = 2u;
const NAN: u32 = 3u;

// Told by the bits, because compilers may take it that there are neither NaN nor infinities.
fn kind(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let of_infinity = select(vec4<u32>(INFINITY), vec4<u32>(MINUS_INFINITY), bits == vec4<u32>(0xff800000u));
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let unless_nan = select(vec4<u32>(NUMBER), of_infinity, magnitude == vec4<u32>(0x7f800000u));
    return select(unless_nan, vec4<u32>(NAN), magnitude > vec4<u32>(0x7f800000u));
}
