// Local response normalisation: x / (k + alpha / size · Σ x²)^beta with the sum over neighbouring channels. One pixel and
// four channels per invocation.
//
// Grid: x over pixels, y over slices × batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
@group(0) @binding(1) var<storage, read> input: array<{{ stored }}>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<{{ stored }}>>;

@compute @workgroup_size({{ workgroup[0] }}, {{ workgroup[1] }})
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let id = invocation + first_group() * vec3<u32>({{ workgroup[0] }}u, {{ workgroup[1] }}u, 1u);
    if id.x >= p.area || id.y >= p.maps {
        return;
    }
    let slices = (p.channels + 3u) / 4u;
    let slice = id.y % slices;
    let first = id.y / slices * slices;
    var value = vec4<f32>();
    for (var lane = 0u; lane < 4u; lane++) {
        let channel = slice * 4u + lane;
        if channel < p.channels {
            let start = channel - min(channel, p.before);
            let end = min(channel + p.behind + 1u, p.channels);
            var squares = 0.0;
            for (var c = start; c < end; c++) {
                let x = {{ widen }}(input[((first + c / 4u) * p.area + id.x) * 4u + c % 4u]);
                squares += x * x;
            }
            let x = {{ widen }}(input[(id.y * p.area + id.x) * 4u + lane]);
            value[lane] = x / pow(p.k + p.factor * squares, p.beta);
        }
    }
    output[id.y * p.area + id.x] = {{ narrow4 }}(value);
}
