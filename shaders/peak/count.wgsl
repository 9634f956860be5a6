// What a dispatch costs: as little work as shows that it was done.
//
// Grid: one invocation.
@group(0) @binding(1) var<storage, read_write> output: array<u32>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main() {
    output[0] += 1u;
}
