// The kernel of the convolution that gives an input gradient, made from the forward kernel: in- and outputs exchanged,
// taps reversed, and, for strides above 1, one set of outputs for every residue of the input's coordinates.
//
// Output p.group_outputs·… of a group is residue × input channel of the forward group; tap u of an axis meets the forward
// tap t with t · dilation = residue + stride · (taps − 1 − u), if there is one.
//
// Grid: x and y over the elements of the result, in rows of p.row.
{{ params }}
@group(0) @binding(0) var<uniform> p: Params;
// [tap][input channel within the group][output] of the forward kernel
@group(0) @binding(1) var<storage, read> kernel: array<f32>;
// The same of the transposed kernel.
@group(0) @binding(2) var<storage, read_write> transposed: array<f32>;

// The forward tap along one axis, or one beyond the last where there is none.
fn forward_tap(u: u32, residue: u32, taps: u32, count: u32, stride: u32, dilation: u32, step: u32) -> u32 {
    let distance = residue + stride * step * (taps - 1u - u);
    return select(count, distance / dilation, distance % dilation == 0u);
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row + id.x;
    if id.x >= p.row || at >= p.length {
        return;
    }
    let output = at % p.row_outputs;
    let input = at / p.row_outputs % p.row_inputs;
    let tap = at / p.row_outputs / p.row_inputs;
    var value = 0.0;
    // What only pads the kernel to whole slices is zero.
    if output < p.outputs && input < p.group_inputs {
        let group = output / p.group_outputs;
        let residue = output % p.group_outputs / p.from_group_inputs;
        let channel = output % p.from_group_inputs;
        let y = forward_tap(tap / p.kernel_width, residue / p.stride_x, p.kernel_height, p.from_height, p.stride_y, p.dilation_y, p.step_y);
        let x = forward_tap(tap % p.kernel_width, residue % p.stride_x, p.kernel_width, p.from_width, p.stride_x, p.dilation_x, p.step_x);
        if y < p.from_height && x < p.from_width {
            let row = (y * p.from_width + x) * p.from_row_inputs + channel;
            value = kernel[row * p.from_row_outputs + group * p.group_inputs + input];
        }
    }
    transposed[at] = value;
}
