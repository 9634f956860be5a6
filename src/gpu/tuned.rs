//! Which choice was found best for which convolution.

use std::sync::{Arc, Mutex, MutexGuard};

use super::choice::Choice;
use crate::network::Conv2d;
use crate::tuning::TuneListener;

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

/// Choices by [`layer`], for a batch of one; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuned(Arc<Vec<(String, Choice)>>);

impl Tuned {
    /// What is known of a convolution with an output of this height and width.
    pub fn get(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Choice> {
        if self.0.is_empty() {
            return None;
        }
        let wanted = layer(conv, output);
        self.iter().find(|(layer, _)| *layer == wanted).map(|(_, choice)| choice).filter(|choice| choice.fits(conv))
    }

    /// Notes a choice, in place of an older one.
    pub fn insert(&mut self, layer: &str, choice: Choice) {
        let known = Arc::make_mut(&mut self.0);
        match known.iter_mut().find(|(other, _)| other == layer) {
            Some((_, old)) => *old = choice,
            None => known.push((layer.into(), choice)),
        }
    }

    /// Layers and what was chosen for them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Choice)> {
        self.0.iter().map(|(layer, choice)| (layer.as_str(), *choice))
    }
}

/// The choices of a device, shared by all sessions on it, and whether it looks for more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning {
    choices: Arc<Mutex<Choices>>,
    pub(crate) listener: Option<TuneListener>,
}

#[derive(Clone, Debug, Default)]
struct Choices {
    known: Tuned,
    /// Layers that were timed on this machine, and need not be again.
    timed: Vec<String>,
}

impl Tuning {
    /// With choices that were timed elsewhere.
    pub(crate) fn new(shipped: Tuned) -> Self {
        Self { choices: Arc::new(Mutex::new(Choices { known: shipped, timed: vec![] })), listener: None }
    }

    /// The same with choices that were timed here; clones of the device that were made before keep what they have.
    pub(crate) fn with(&self, timed: &Tuned) -> Self {
        let choices = Arc::new(Mutex::new(self.choices().clone()));
        let tuning = Self { choices, listener: self.listener.clone() };
        timed.iter().for_each(|(layer, choice)| tuning.found_best(layer, choice));
        tuning
    }

    /// The same without any.
    pub(crate) fn without_choices(&self) -> Self {
        Self { choices: Arc::default(), listener: self.listener.clone() }
    }

    fn choices(&self) -> MutexGuard<'_, Choices> {
        self.choices.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn known(&self) -> Tuned {
        self.choices().known.clone()
    }

    /// Without those that came with the library.
    pub(crate) fn timed(&self) -> Tuned {
        let choices = self.choices();
        let is_timed = |(layer, _): &(&str, Choice)| choices.timed.iter().any(|timed| timed == layer);
        Tuned(Arc::new(choices.known.iter().filter(is_timed).map(|(layer, choice)| (layer.into(), choice)).collect()))
    }

    pub(crate) fn is_timed(&self, layer: &str) -> bool {
        self.choices().timed.iter().any(|timed| timed == layer)
    }

    pub(crate) fn found_best(&self, layer: &str, choice: Choice) {
        let mut choices = self.choices();
        choices.known.insert(layer, choice);
        choices.timed.push(layer.into());
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
    fn the_last_choice_counts_and_what_cannot_run_does_not() {
        let conv = Conv2d::new(64, 64, [1, 1]);
        let name = layer(&conv, [7, 7]);
        let mut tuned = Tuned::default();
        assert_eq!(tuned.get(&conv, [7, 7]), None);
        for text in ["direct 8x2 8x4", "direct 4x2 8x4"] {
            tuned.insert(&name, text.parse().unwrap());
            assert_eq!(tuned.get(&conv, [7, 7]).map(|choice| choice.to_string()), Some(text.into()));
        }
        assert_eq!(tuned.get(&conv, [7, 8]), None);
        tuned.insert(&name, "f4 direct 4x2 8x4".parse().unwrap());
        assert_eq!((tuned.get(&conv, [7, 7]), tuned.iter().count()), (None, 1));
    }
}
