// The kernel of a transposed convolution in its sub-pixel form, made from that of the convolution whose input gradient it
// computes: in- and outputs exchanged, taps reversed, and for strides above 1 one output per channel and remainder.
//
// Along an axis, tap u of outputs of remainder r holds the tap t with t · dilation = r + reach − u · step, if there is one.
//
// Grid: x over the elements of the result.
{% include "common/params.wgsl" %}
// [tap][input channel within the group][output] of the convolution
@group(0) @binding(1) var<storage, read> kernel: array<f32>;
// The same of the sub-pixel convolution.
@group(0) @binding(2) var<storage, read_write> transposed: array<f32>;

// The tap of the convolution along one axis, or one beyond the last where there is none.
fn source(distance: i32, dilation: u32, count: u32) -> u32 {
    let reach = u32(max(distance, 0));
    return select(count, reach / dilation, distance >= 0 && reach % dilation == 0u);
}

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    let at = id.x;
    if at >= p.length {
        return;
    }
    let output = at % p.row_outputs;
    let input = at / p.row_outputs % p.row_inputs;
    let tap = at / p.row_outputs / p.row_inputs;
    var value = 0.0;
    // What only pads the kernel to whole slices is zero.
    if output < p.outputs && input < p.group_inputs {
        let parts = p.stride_y * p.stride_x;
        let group = output / p.group_outputs;
        let channel = output % p.group_outputs / parts;
        let part = output % parts;
        let down = i32(part / p.stride_x) + p.reach_y - i32(tap / p.kernel_width) * p.step_y;
        let right = i32(part % p.stride_x) + p.reach_x - i32(tap % p.kernel_width) * p.step_x;
        let y = source(down, p.dilation_y, p.from_height);
        let x = source(right, p.dilation_x, p.from_width);
        if y < p.from_height && x < p.from_width {
            let row = (y * p.from_width + x) * p.from_row_inputs + channel;
            value = kernel[row * p.from_row_outputs + group * p.group_inputs + input];
        }
    }
    transposed[at] = value;
}
