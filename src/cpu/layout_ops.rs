//! Layout steps: views and padding.

use super::parallel;
use crate::network::Shape;
use crate::plan::{Pad, View};

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

/// Splits an NHWC map into tasks of whole pixels: `task([n, y, x], pixel)` fills the channels of each.
pub(super) fn for_each_pixel(shape: Shape, output: &mut [f32], task: impl Fn([usize; 3], &mut [f32]) + Send + Sync) {
    let [_, channels, height, width] = shape;
    let pixels = (CHUNK / channels).max(1);
    parallel::for_each_chunk(output, pixels * channels, |index, output| {
        for (at, pixel) in output.chunks_exact_mut(channels).enumerate() {
            let at = index * pixels + at;
            task([at / (height * width), at / width % height, at % width], pixel);
        }
    });
}

/// Every element from where the view says; shapes are those of the batch.
pub(super) fn rearrange(view: &View, batch: usize, from: Shape, input: &[f32], to: Shape, output: &mut [f32]) {
    let [items, channels, height, width] = [from[0] / batch, from[1], from[2], from[3]];
    let out_items = to[0] / batch;
    let area = height * width;
    let along = Channels::new(view, to[1], area);
    for_each_pixel(to, output, |[n, y, x], pixel| {
        let (element, item) = (n / out_items, n % out_items);
        let element = &input[element * items * channels * area..][..items * channels * area];
        // From NCHW to NHWC.
        let place = |c: usize| {
            let source = view.source([item, c, y, x]);
            (source / (channels * area) * area + source % area, source / area % channels)
        };
        let (first, channel) = place(0);
        if along.fill(channel, &element[first * channels..][..channels], pixel) {
            return;
        }
        for (c, value) in pixel.iter_mut().enumerate() {
            let (place, channel) = place(c);
            *value = element[place * channels + channel];
        }
    });
}

/// Where the channels of a pixel come from where they are all of one pixel, which is usual: by how many channels they are away
/// from that of the first.
struct Channels {
    steps: Option<Vec<isize>>,
    /// The least and the largest.
    reach: [isize; 2],
    /// Whether they are neighbours.
    are_neighbours: bool,
}

impl Channels {
    fn new(view: &View, count: usize, area: usize) -> Self {
        let step = |c| {
            let distance = view.axes[1].distance(c);
            (distance % area as isize == 0).then_some(distance / area as isize)
        };
        let steps: Option<Vec<isize>> = (0..count).map(step).collect();
        let list = steps.as_deref().unwrap_or_default();
        let reach = [list.iter().min(), list.iter().max()].map(|step| step.copied().unwrap_or(0));
        let are_neighbours = list.iter().enumerate().all(|(c, &step)| step == c as isize);
        Self { steps, reach, are_neighbours }
    }

    /// Fills a pixel from the one that holds its first channel at `channel`, if that holds all.
    fn fill(&self, channel: usize, from: &[f32], pixel: &mut [f32]) -> bool {
        let Some(steps) = &self.steps else { return false };
        let [least, most] = self.reach.map(|step| channel.checked_add_signed(step).filter(|&at| at < from.len()));
        if least.is_none() || most.is_none() {
            return false;
        }
        if self.are_neighbours {
            pixel.copy_from_slice(&from[channel..][..pixel.len()]);
        } else {
            let values = steps.iter().map(|&step| from[channel.wrapping_add_signed(step)]);
            pixel.iter_mut().zip(values).for_each(|(value, from)| *value = from);
        }
        true
    }
}

/// Values around a map; shapes are those of the batch.
pub(super) fn pad(pad: &Pad, batch: usize, from: Shape, input: &[f32], to: Shape, output: &mut [f32]) {
    let [items, channels, height, width] = [from[0] / batch, from[1], from[2], from[3]];
    let out_items = to[0] / batch;
    let source =
        |axis: usize, index: usize, len: usize| pad.mode.source(index as isize - pad.before[axis] as isize, len);
    for_each_pixel(to, output, |[n, y, x], pixel| {
        let (element, item) = (n / out_items, n % out_items);
        let place = (source(0, item, items), source(2, y, height), source(3, x, width));
        let (Some(item), Some(y), Some(x)) = place else {
            pixel.fill(pad.value);
            return;
        };
        let from = &input[(((element * items + item) * height + y) * width + x) * channels..][..channels];
        if from.len() == pixel.len() {
            pixel.copy_from_slice(from);
            return;
        }
        for (c, value) in pixel.iter_mut().enumerate() {
            *value = source(1, c, channels).map_or(pad.value, |c| from[c]);
        }
    });
}
