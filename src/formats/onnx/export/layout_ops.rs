//! Operators that move values about.

use super::convolution::mode_name;
use super::graph::{float, ints, string};
use super::{Exporter, Value};
use crate::network::{Coordinates, Interpolation, Node, Pad, Resize, Rounding, Slice};
use crate::{Error, Result};

/// No map is lengthened beyond this for the sake of a resize.
const MAX_LENGTH: usize = 1 << 20;

impl Exporter<'_> {
    pub(super) fn transpose(&mut self, axes: [usize; 4], from: &Value, to: &Value) {
        // Only where items stay in front of everything else is the first axis still the batch with its items.
        if self.fixed || axes[0] == 0 {
            self.graph.node("Transpose", &[&from.name], &to.name, vec![ints("perm", &axes)]);
            return;
        }
        let split = self.split(from);
        let [a, b, c, d] = axes.map(|axis| axis + 1);
        let moved = self.graph.step("Transpose", &[&split], &to.name, vec![ints("perm", &[0, a, b, c, d])]);
        self.merge(&moved, to);
    }

    pub(super) fn slice(&mut self, slice: &Slice, from: &Value, to: &Value) {
        let whole = |axis: usize| slice.start[axis] == 0 && slice.step[axis] == 1 && to.shape[axis] == from.shape[axis];
        let axes: Vec<usize> = (0..4).filter(|&axis| !whole(axis)).collect();
        let split = !self.fixed && axes.first() == Some(&0);
        let numbers = |of: &dyn Fn(usize) -> i64| axes.iter().map(|&axis| of(axis)).collect::<Vec<_>>();
        let end = |axis: usize| {
            let end = slice.start[axis] as i64 + slice.count[axis] as i64 * slice.step[axis] as i64;
            // Small negative numbers would count from the end.
            if end < 0 { i64::from(i32::MIN) } else { end }
        };
        let starts = numbers(&|axis| slice.start[axis] as i64);
        let ends = numbers(&end);
        let steps = numbers(&|axis| slice.step[axis] as i64);
        let names = numbers(&|axis| (axis + usize::from(split)) as i64);
        let mut inputs = vec![if split { self.split(from) } else { from.name.clone() }];
        for (part, values) in [("starts", starts), ("ends", ends), ("axes", names), ("steps", steps)] {
            inputs.push(self.graph.integers(&format!("{}.{part}", to.name), &values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        if axes.is_empty() {
            self.graph.node("Identity", &inputs[..1], &to.name, vec![]);
        } else if split {
            let part = self.graph.step("Slice", &inputs, &to.name, vec![]);
            self.merge(&part, to);
        } else {
            self.graph.node("Slice", &inputs, &to.name, vec![]);
        }
    }

    pub(super) fn pad(&mut self, pad: &Pad, from: &Value, to: &Value) {
        let split = !self.fixed && (pad.before[0], pad.after[0]) != (0, 0);
        let side = |counts: [usize; 4]| {
            let batch = if split { &[0][..] } else { &[] };
            [batch, &counts.map(|count| count as i64)].concat()
        };
        let around = [side(pad.before), side(pad.after)].concat();
        let mut inputs = vec![if split { self.split(from) } else { from.name.clone() }];
        inputs.push(self.graph.integers(&format!("{}.pads", to.name), &around));
        let mut attributes = vec![];
        match mode_name(pad.mode) {
            Some(mode) => {
                attributes.push(string("mode", mode));
                self.require_for(pad.mode);
            }
            None => inputs.push(self.graph.scalar(&format!("{}.padding", to.name), pad.value)),
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        if split {
            let padded = self.graph.step("Pad", &inputs, &to.name, attributes);
            self.merge(&padded, to);
        } else {
            self.graph.node("Pad", &inputs, &to.name, attributes);
        }
    }

    pub(super) fn resize(&mut self, node: &Node, resize: &Resize, from: &Value, to: &Value) -> Result<()> {
        self.graph.require(18);
        let mut attributes = vec![ints("axes", &[2, 3])];
        match resize.interpolation {
            Interpolation::Nearest(rounding) => {
                attributes.push(string("mode", "nearest"));
                attributes.push(string("nearest_mode", rounding_name(rounding)));
            }
            Interpolation::Linear => attributes.push(string("mode", "linear")),
            Interpolation::Cubic(coefficient) => {
                attributes.push(string("mode", "cubic"));
                attributes.push(float("cubic_coeff_a", coefficient as f32));
            }
        }
        let coordinates = match resize.coordinates {
            Coordinates::HalfPixel => "half_pixel",
            Coordinates::HalfPixelSymmetric => {
                self.graph.require(19);
                "half_pixel_symmetric"
            }
            Coordinates::PytorchHalfPixel => "pytorch_half_pixel",
            Coordinates::AlignCorners => "align_corners",
            Coordinates::Asymmetric => "asymmetric",
        };
        attributes.push(string("coordinate_transformation_mode", coordinates));

        // Aligned corners depend on the sizes alone.
        let Some(scale) = resize.scale.filter(|_| resize.coordinates != Coordinates::AlignCorners) else {
            let size = self.graph.integers(&format!("{}.sizes", to.name), &resize.size.map(|extent| extent as i64));
            self.graph.node("Resize", &[&from.name, "", "", &size], &to.name, attributes);
            return Ok(());
        };
        // Without a size, an axis has as many pixels as its scaled length has whole ones.
        let scale = scale.map(|scale| scale as f32);
        let pixels = |axis: usize, len: usize| (len as f32 * scale[axis]).floor() as usize;
        let length = |axis: usize| from.shape[axis + 2];
        let exact = (0..2).all(|axis| pixels(axis, length(axis)) == resize.size[axis]);
        let by_scale_alone = match resize.coordinates {
            Coordinates::HalfPixel | Coordinates::Asymmetric => true,
            Coordinates::PytorchHalfPixel => resize.size.iter().all(|&extent| extent > 1),
            Coordinates::HalfPixelSymmetric | Coordinates::AlignCorners => false,
        };
        let needed = |axis: usize| (resize.size[axis] as f32 / scale[axis]).ceil() as usize + 1;
        let sane = (0..2).all(|axis| needed(axis) < MAX_LENGTH);
        if !(exact || by_scale_alone && sane) {
            return Err(Error::node(
                &node.name,
                format!("ONNX does not support a scale of {scale:?} to {:?} pixels with {coordinates}", resize.size),
            ));
        }
        let scales = self.graph.floats(&format!("{}.scales", to.name), &[2], &scale);
        if exact {
            self.graph.node("Resize", &[&from.name, "", &scales], &to.name, attributes);
            return Ok(());
        }
        // Pixels lie where they lie whatever their number: make enough of them, and keep those that are wanted. Beyond
        // the edge, interpolation sees the edge, so that more of it changes nothing.
        let missing = [0, 1].map(|axis| needed(axis).saturating_sub(length(axis)) as i64);
        let behind = self.graph.integers(&format!("{}.pads", to.name), &[0, 0, 0, 0, 0, 0, missing[0], missing[1]]);
        let longer = self.graph.step("Pad", &[&from.name, &behind], &to.name, vec![string("mode", "edge")]);
        let resized = self.graph.step("Resize", &[&longer, "", &scales], &to.name, attributes);
        let mut inputs = vec![resized];
        let ends = resize.size.map(|extent| extent as i64);
        for (part, values) in [("starts", [0, 0]), ("ends", ends), ("axes", [2, 3])] {
            inputs.push(self.graph.integers(&format!("{}.{part}", to.name), &values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("Slice", &inputs, &to.name, vec![]);
        Ok(())
    }
}

fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::HalfDown => "round_prefer_floor",
        Rounding::HalfUp => "round_prefer_ceil",
        Rounding::Floor => "floor",
        Rounding::Ceil => "ceil",
    }
}
