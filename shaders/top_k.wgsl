// The best classes of every image, best first, with their probabilities{% if softmax %} by a softmax over all of them{% endif %}: one image per
// workgroup, whose invocations share the classes. Of equal values the first is the better one.
//
// Every round looks for the best of what comes behind the one before, so nothing is sorted and no class is marked.
//
// Grid: x over the batch.
{% include "common/map.wgsl" %}
{% include "common/params.wgsl" %}
struct Best {
    class_index: u32,
    probability: f32,
}
@group(0) @binding(1) var<storage, read> input: array<vec4<{{ stored }}>>;
@group(0) @binding(2) var<storage, read_write> best: array<Best>;

const LANES: u32 = {{ workgroup[0] }}u;
const NONE: u32 = 0xffffffffu;
const LOWEST: f32 = -3.4028234e38;
var<workgroup> partial: array<f32, LANES>;
var<workgroup> partial_class: array<u32, LANES>;

fn value(image: u32, class_index: u32) -> f32 {
    let channel = class_index / p.area;
    let slice = image * p.slices + channel / 4u;
    return {{ widen }}(input[slice * p.area + class_index % p.area][channel % 4u]);
}

// Whether a class comes before another in the ranking.
fn beats(value: f32, class_index: u32, other: f32, other_class: u32) -> bool {
    return other_class == NONE || value > other || (value == other && class_index < other_class);
}

@compute @workgroup_size({{ workgroup[0] }})
fn main(@builtin(workgroup_id) group_in_part: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let group = group_in_part + first_group();
    let image = group.x;
    var maximum = 0.0;
    var total = 1.0;
{% if softmax %}
    var highest = LOWEST;
    for (var i = index; i < p.classes; i += LANES) {
        highest = max(highest, value(image, i));
    }
    partial[index] = highest;
    workgroupBarrier();
    maximum = partial[0];
    for (var lane = 1u; lane < LANES; lane++) {
        maximum = max(maximum, partial[lane]);
    }
    workgroupBarrier();

    var sum = 0.0;
    for (var i = index; i < p.classes; i += LANES) {
        sum += exp(value(image, i) - maximum);
    }
    partial[index] = sum;
    workgroupBarrier();
    total = 0.0;
    for (var lane = 0u; lane < LANES; lane++) {
        total += partial[lane];
    }
    workgroupBarrier();
{% endif %}

    var last = 0.0;
    var last_class = NONE;
    for (var round = 0u; round < p.best; round++) {
        var mine = 0.0;
        var mine_class = NONE;
        for (var i = index; i < p.classes; i += LANES) {
            let candidate = value(image, i);
            let is_behind = last_class == NONE || (i != last_class && beats(last, last_class, candidate, i));
            if is_behind && beats(candidate, i, mine, mine_class) {
                mine = candidate;
                mine_class = i;
            }
        }
        partial[index] = mine;
        partial_class[index] = mine_class;
        workgroupBarrier();
        last = partial[0];
        last_class = partial_class[0];
        for (var lane = 1u; lane < LANES; lane++) {
            if partial_class[lane] != NONE && beats(partial[lane], partial_class[lane], last, last_class) {
                last = partial[lane];
                last_class = partial_class[lane];
            }
        }
        workgroupBarrier();
        if index == 0u {
{% if softmax %}
            let probability = exp(last - maximum) / total;
{% else %}
            let probability = last;
{% endif %}
            best[image * p.best + round] = Best(last_class, probability);
        }
    }
}
