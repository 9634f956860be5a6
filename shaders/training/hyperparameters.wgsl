// What changes from run to run, a map [1, 12, 1, 1]: the same fields as the plan's `Hyperparameters`.
struct Hyperparameters {
    rate: f32,
    momentum: f32,
    decay: f32,
    second_momentum: f32,
    eps: f32,
    step: f32,
    unbias: f32,
    largest_norm: f32,
    kept: f32,
    share: f32,
    takes_step: f32,
    unused: f32,
}
