// exp is kept from overflowing: a fast-math compiler may assume that there are no infinities. Of NaN it is not NaN everywhere.
// Far below zero it is nothing, so that a large argument times it is nothing, too.
fn logistic(x: vec4<f32>) -> vec4<f32> {
    let value = 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-87.0), vec4<f32>(87.0))));
    return select(select(value, vec4<f32>(), x < vec4<f32>(-87.0)), x, is_nan(x));
}
