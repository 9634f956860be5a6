//! SqueezeNet 1.1 (Iandola et al., 2016). Gluon's network is torchvision's under other names: `features.3.0.0`,
//! `features.3.1.0.0` and `features.3.1.1.0` for `features.3.squeeze`, `.expand1x1` and `.expand3x3`, and `output.0`
//! for `classifier.1`.

use super::Flavour;
use super::graph::{Graph, conv};
use crate::network::Network;

pub(super) fn squeezenet1_1(name: &str, flavour: Flavour) -> Network {
    let mut graph = Graph::imagenet(name);
    graph.conv("features.0", conv(64, 3).stride(2).valid().bias());
    graph.relu("features.1");
    for (index, fire) in [None, Some((16, 64)), Some((16, 64)), None, Some((32, 128)), Some((32, 128)), None]
        .into_iter()
        .chain([Some((48, 192)), Some((48, 192)), Some((64, 256)), Some((64, 256))])
        .enumerate()
    {
        let path = format!("features.{}", index + 2);
        match fire {
            Some((squeezed, expanded)) => self::fire(&mut graph, &path, squeezed, expanded, flavour),
            None => graph.max_pool(path, 3, 0, true),
        }
    }
    let head = if flavour == Flavour::Gluon { "output" } else { "classifier" };
    let first = if flavour == Flavour::Gluon { 0 } else { 1 };
    graph.conv(format!("{head}.{first}"), conv(1000, 1).bias());
    graph.relu(format!("{head}.{}", first + 1));
    graph.global_avg_pool(format!("{head}.{}", first + 2));
    graph.finish()
}

/// A 1×1 convolution, and the channels of a 1×1 and a 3×3 convolution that read it.
fn fire(graph: &mut Graph, path: &str, squeezed: usize, expanded: usize, flavour: Flavour) {
    let [squeeze, left, right] = match flavour {
        Flavour::Torch => ["squeeze", "expand1x1", "expand3x3"],
        Flavour::Gluon => ["0.0", "1.0.0", "1.1.0"],
    };
    graph.conv(format!("{path}.{squeeze}"), conv(squeezed, 1).bias());
    graph.relu(format!("{path}.squeeze_activation"));
    let input = graph.last.clone();
    graph.conv(format!("{path}.{left}"), conv(expanded, 1).bias());
    graph.relu(format!("{path}.expand1x1_activation"));
    let left = std::mem::replace(&mut graph.last, input);
    graph.conv(format!("{path}.{right}"), conv(expanded, 3).bias());
    graph.relu(format!("{path}.expand3x3_activation"));
    graph.append_to(format!("{path}.concat"), left);
}
