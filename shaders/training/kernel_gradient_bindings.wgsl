{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ input_type }}>;
@group(0) @binding(2) var<storage, read> grad_output: array<{{ grad_type }}>;
// One map [out, in-group input, kernel rows, kernel columns] for every part of the pixels.
@group(0) @binding(3) var<storage, read_write> parts: array<vec4<f32>>;

fn store(part: u32, output: u32, slice: u32, tap: u32, value: vec4<f32>) {
    let taps = p.kernel_height * p.kernel_width;
    parts[part * p.length + (output * p.group_in_slices + slice) * taps + tap] = used_lanes(value, slice, p.group_inputs);
}
