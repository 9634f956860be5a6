//! Pools.
//!
//! Runtimes do not agree on `ceil_mode`: how many windows there are, and what a mean divides by. So it is never written:
//! the windows are counted here, and the map is padded behind as far as the last one reaches.

use super::graph::{int, ints};
use super::operators::pads;
use super::{Exporter, Value};
use crate::network::{AvgPool, MaxPool};

/// Where windows lie on a map.
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// As the description says.
    padding: [usize; 4],
    /// As far as the last windows reach.
    reached: [usize; 4],
}

impl Windows {
    fn new(
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        padding: [usize; 4],
        from: &Value,
        to: &Value,
    ) -> Self {
        let mut reached = padding;
        for axis in 0..2 {
            let end = (to.shape[axis + 2] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
            let behind = end.saturating_sub(padding[axis] + from.shape[axis + 2]);
            reached[axis + 2] = behind.max(padding[axis + 2]);
        }
        Self { kernel, stride, dilation, padding, reached }
    }

    /// Whether runtimes take this padding: some want it narrower than the kernel without its dilation.
    fn is_narrow(&self) -> bool {
        self.reached.iter().enumerate().all(|(side, &padding)| padding < self.kernel[side % 2])
    }

    fn attributes(&self, padding: [usize; 4]) -> Vec<super::super::proto::AttributeProto> {
        let mut attributes = vec![ints("kernel_shape", &self.kernel), ints("strides", &self.stride), pads(padding)];
        if self.dilation != [1, 1] {
            attributes.push(ints("dilations", &self.dilation));
        }
        attributes
    }

    /// For every window, how many of its taps count in its mean.
    fn counts(&self, count_include_pad: bool, from: &Value, to: &Value) -> Vec<f32> {
        let along = |axis: usize| -> Vec<f32> {
            let (before, size) = (self.padding[axis], from.shape[axis + 2]);
            let counted = match count_include_pad {
                true => 0..before + size + self.padding[axis + 2],
                false => before..before + size,
            };
            let taps = |start: usize| (0..self.kernel[axis]).map(move |tap| start + tap * self.dilation[axis]);
            let count = |index: usize| taps(index * self.stride[axis]).filter(|at| counted.contains(at)).count() as f32;
            (0..to.shape[axis + 2]).map(count).collect()
        };
        let (rows, columns) = (along(0), along(1));
        rows.iter().flat_map(|rows| columns.iter().map(move |columns| rows * columns)).collect()
    }
}

impl Exporter<'_> {
    pub(super) fn max_pool(&mut self, pool: &MaxPool, from: &Value, to: &Value) {
        let windows = Windows::new(pool.kernel, pool.stride, pool.dilation, pool.padding, from, to);
        if windows.is_narrow() {
            self.graph.node("MaxPool", &[&from.name], &to.name, windows.attributes(windows.reached));
        } else {
            let padded = self.padded(windows.reached, f32::MIN, from, to);
            self.graph.node("MaxPool", &[&padded], &to.name, windows.attributes([0; 4]));
        }
    }

    pub(super) fn avg_pool(&mut self, pool: &AvgPool, from: &Value, to: &Value) {
        let windows = Windows::new(pool.kernel, pool.stride, pool.dilation, pool.padding, from, to);
        if pool.dilation != [1, 1] {
            self.graph.require(19);
        }
        // What windows reach beyond the padding never counts.
        if windows.is_narrow() && (!pool.count_include_pad || windows.reached == windows.padding) {
            let mut attributes = windows.attributes(windows.reached);
            attributes.push(int("count_include_pad", pool.count_include_pad.into()));
            self.graph.node("AveragePool", &[&from.name], &to.name, attributes);
            return;
        }
        let padded = self.padded(windows.reached, 0.0, from, to);
        let mean = self.graph.step("AveragePool", &[&padded], &to.name, windows.attributes([0; 4]));
        let taps = (pool.kernel[0] * pool.kernel[1]) as f32;
        let counts = windows.counts(pool.count_include_pad, from, to);
        let factors: Vec<f32> = counts.into_iter().map(|count| taps / count).collect();
        let [_, _, height, width] = to.shape;
        let factors = self.graph.floats(&format!("{}.factors", to.name), &[1, 1, height, width], &factors);
        self.graph.node("Mul", &[&mean, &factors], &to.name, vec![]);
    }

    fn padded(&mut self, [top, left, bottom, right]: [usize; 4], value: f32, from: &Value, to: &Value) -> String {
        let around = [0, 0, top, left, 0, 0, bottom, right].map(|side| side as i64);
        let around = self.graph.integers(&format!("{}.pads", to.name), &around);
        let value = self.graph.scalar(&format!("{}.padding", to.name), value);
        self.graph.step("Pad", &[&from.name, &around, &value], &to.name, vec![])
    }
}
