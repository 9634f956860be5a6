//! Convolutions and fully connected layers.

use super::graph::{int, ints, string};
use super::operators::pads;
use super::{Exporter, Value};
use crate::model::ConvWeights;
use crate::network::{Conv2d, ConvTranspose2d, Linear, Node, PaddingMode};
use crate::{Error, Result};

impl Exporter<'_> {
    pub(super) fn conv2d(&mut self, node: &Node, conv: &Conv2d, from: &Value, to: &Value) -> Result<()> {
        let ConvWeights::Folded(kernel) = self.model.conv_weights(node, conv)? else {
            return Err(Error::node(&node.name, "holds W and D; fold the model before it is written to ONNX"));
        };
        // `Conv` pads with zeros only.
        let (input, padding) = match mode_name(conv.padding_mode) {
            None => (from.name.clone(), conv.padding),
            Some(_) if conv.padding == [0; 4] => (from.name.clone(), conv.padding),
            Some(mode) => {
                let [top, left, bottom, right] = conv.padding.map(|side| side as i64);
                let around = [0, 0, top, left, 0, 0, bottom, right];
                let around = self.graph.integers(&format!("{}.pads", to.name), &around);
                self.require_for(conv.padding_mode);
                let attributes = vec![string("mode", mode)];
                (self.graph.step("Pad", &[&from.name, &around], &to.name, attributes), [0; 4])
            }
        };
        let kernel = self.graph.parameter(&format!("{}.weight", node.name), &conv.kernel_shape(), &kernel)?;
        let mut inputs = vec![input, kernel];
        if conv.bias {
            inputs.push(self.parameter(node, "bias", &[conv.out_channels])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![
            ints("kernel_shape", &conv.kernel),
            ints("strides", &conv.stride),
            pads(padding),
            ints("dilations", &conv.dilation),
            int("group", conv.groups as i64),
        ];
        self.graph.node("Conv", &inputs, &to.name, attributes);
        Ok(())
    }

    pub(super) fn conv_transpose2d(
        &mut self,
        node: &Node,
        conv: &ConvTranspose2d,
        from: &Value,
        to: &Value,
    ) -> Result<()> {
        let mut inputs = vec![from.name.clone(), self.parameter(node, "weight", &conv.kernel_shape())?];
        if conv.bias {
            inputs.push(self.parameter(node, "bias", &[conv.out_channels])?);
        }
        let (mut padding, mut more) = (conv.padding, conv.output_padding);
        for axis in 0..2 {
            // Rows added behind are rows not cut off there. Runtimes check that what is added is less than the stride.
            if more[axis] >= conv.stride[axis] {
                let kept = more[axis].min(padding[axis + 2]);
                padding[axis + 2] -= kept;
                more[axis] -= kept;
            }
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![
            ints("kernel_shape", &conv.kernel),
            ints("strides", &conv.stride),
            pads(padding),
            ints("output_padding", &more),
            ints("dilations", &conv.dilation),
            int("group", conv.groups as i64),
        ];
        self.graph.node("ConvTranspose", &inputs, &to.name, attributes);
        Ok(())
    }

    pub(super) fn linear(&mut self, node: &Node, linear: &Linear, from: &Value, to: &Value) -> Result<()> {
        let flat = match from.vector {
            true => from.name.clone(),
            false => self.graph.step("Flatten", &[&from.name], &to.name, vec![int("axis", 1)]),
        };
        let mut inputs = vec![flat, self.parameter(node, "weight", &[linear.out_features, linear.in_features])?];
        if linear.bias {
            inputs.push(self.parameter(node, "bias", &[linear.out_features])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("Gemm", &inputs, &to.name, vec![int("transB", 1)]);
        Ok(())
    }

    /// Asks for the version of `Pad` that knows the mode.
    pub(super) fn require_for(&mut self, mode: PaddingMode) {
        if mode == PaddingMode::Circular {
            self.graph.require(19);
        }
    }
}

/// What `Pad` calls a mode that is not a constant.
pub(super) fn mode_name(mode: PaddingMode) -> Option<&'static str> {
    match mode {
        PaddingMode::Zeros => None,
        PaddingMode::Reflect => Some("reflect"),
        PaddingMode::Replicate => Some("edge"),
        PaddingMode::Circular => Some("wrap"),
    }
}
