//! Which kernel configuration was found the fastest for which convolution.

use std::sync::Arc;

use super::KernelConfig;
use crate::network::Conv2d;

/// What a convolution's time depends on, in a word such as `3x3s2-64-128@28x28`: kernel, stride, dilation and groups where
/// there are any, channels in and out, and the output's rows and columns. Padding, bias and activation hardly matter.
pub fn layer(conv: &Conv2d, [height, width]: [usize; 2]) -> String {
    let part = |letter: &str, [y, x]: [usize; 2]| match (y, x) {
        (1, 1) => String::new(),
        _ if y == x => format!("{letter}{y}"),
        _ => format!("{letter}{y}x{x}"),
    };
    let [rows, columns] = conv.kernel;
    let (stride, dilation) = (part("s", conv.stride), part("d", conv.dilation));
    let groups = part("g", [conv.groups; 2]);
    let (inputs, outputs) = (conv.in_channels, conv.out_channels);
    format!("{rows}x{columns}{stride}{dilation}{groups}-{inputs}-{outputs}@{height}x{width}")
}

/// Kernel configurations by [`layer`], for a batch of one; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TuningTable(Arc<Vec<(String, KernelConfig)>>);

impl TuningTable {
    /// What is known of a convolution with an output of this height and width. Tables come out of files, so the caller has to
    /// ask whether it can run the convolution.
    pub fn get(&self, conv: &Conv2d, output: [usize; 2]) -> Option<KernelConfig> {
        if self.0.is_empty() {
            return None;
        }
        let wanted = layer(conv, output);
        self.iter().find(|(layer, _)| *layer == wanted).map(|(_, config)| config)
    }

    /// Notes a configuration, in place of an older one.
    pub fn insert(&mut self, layer: &str, config: KernelConfig) {
        let known = Arc::make_mut(&mut self.0);
        match known.iter_mut().find(|(other, _)| other == layer) {
            Some((_, old)) => *old = config,
            None => known.push((layer.into(), config)),
        }
    }

    /// Layers and their configurations.
    pub fn iter(&self) -> impl Iterator<Item = (&str, KernelConfig)> {
        self.0.iter().map(|(layer, config)| (layer.as_str(), *config))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, KernelConfig)> for TuningTable {
    fn from_iter<T: IntoIterator<Item = (String, KernelConfig)>>(entries: T) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_short_names() {
        let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::new(64, 128, [3, 3]) };
        assert_eq!(layer(&conv, [28, 28]), "3x3s2-64-128@28x28");
        let conv = Conv2d { groups: 32, dilation: [1, 2], ..Conv2d::new(32, 32, [5, 3]) };
        assert_eq!(layer(&conv, [7, 9]), "5x3d1x2g32-32-32@7x9");
    }

    #[test]
    fn the_last_configuration_counts() {
        let conv = Conv2d::new(64, 64, [1, 1]);
        let name = layer(&conv, [7, 7]);
        let mut table = TuningTable::default();
        assert_eq!(table.get(&conv, [7, 7]), None);
        for text in ["direct 8x2 8x4", "direct 4x2 8x4"] {
            table.insert(&name, KernelConfig::parse(text, ["direct"].into_iter()).unwrap());
            assert_eq!(table.get(&conv, [7, 7]).map(|config| config.to_string()), Some(text.into()));
        }
        assert_eq!((table.get(&conv, [7, 8]), table.iter().count()), (None, 1));
    }
}
