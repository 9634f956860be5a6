// exp is kept from overflowing: a fast-math compiler may assume that there are no infinities.
fn logistic(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-87.0), vec4<f32>(87.0))));
}
