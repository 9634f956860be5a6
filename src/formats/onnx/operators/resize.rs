//! `Resize` and `Upsample`.

use super::super::axis_rules;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::Stop;
use super::{Values, one};
use crate::network::{Coordinates, Interpolation, Op, Resize, Rounding};

impl Importer<'_> {
    pub(super) fn resize(&mut self, node: &Node) -> Values {
        let old = node.op() == "Upsample" || node.opset < 11;
        let scales = match self.known(node, if old { 1 } else { 2 })? {
            Some(scales) => Some(scales.to_f32()).filter(|scales| !scales.is_empty()),
            None => node.floats("scales").map(<[f32]>::to_vec),
        };
        let sizes = if old { None } else { self.ints(node, 3)? };
        let run = self.run(node, 0)?;
        let rank = run.rank();
        let axes = match node.ints("axes") {
            Some(axes) => axis_rules::axes(axes, rank)?,
            None => (0..rank).collect(),
        };
        // The batch has to keep its extent.
        let batch_at = axes.iter().position(|&axis| axis == 0).filter(|_| self.batched);
        let sizes = match sizes {
            Some(sizes) if !sizes.at(1).is_empty() => {
                Some(self.per_batch(node, batch_at, |n| axis_rules::extents(&sizes.at(n)))?)
            }
            _ => None,
        };
        let given = scales.as_ref().map(Vec::len).or(sizes.as_ref().map(Vec::len)).unwrap_or(0);
        if given != axes.len() {
            return Err(format!("{given} scales or sizes do not fit {} axes", axes.len()).into());
        }
        if node.int("antialias", 0) != 0 {
            return Err("antialias is not supported".into());
        }

        // Size and scale of every axis.
        let mut target: Vec<(usize, f64)> = run.dims.iter().map(|&extent| (extent, 1.0)).collect();
        if let Some(scales) = scales {
            for (&axis, &scale) in axes.iter().zip(&scales) {
                if !(scale > 0.0 && scale.is_finite()) {
                    return Err(format!("the scale {scale} is not positive").into());
                }
                target[axis] = ((run.dims[axis] as f32 * scale).floor() as usize, f64::from(scale));
            }
        } else if let Some(sizes) = sizes {
            let ratios = (0..axes.len()).map(|at| sizes[at] as f64 / run.dims[axes[at]] as f64);
            let kept = match node.text("keep_aspect_ratio_policy", "stretch").as_str() {
                "not_larger" => Some(ratios.clone().fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(ratios.clone().fold(0.0, f64::max)),
                _ => None,
            };
            for (at, own) in ratios.enumerate() {
                let axis = axes[at];
                target[axis] = match kept {
                    Some(scale) => ((run.dims[axis] as f64 * scale + 0.5).floor() as usize, scale),
                    None => (sizes[at], own),
                };
            }
        }
        if self.batched && target.first() != Some(&(1, 1.0)) {
            return Err(self.mixes(node));
        }
        // The axes that change must be the map's last two.
        let free = if rank >= 4 { rank - 2 } else { rank.saturating_sub(if rank == 3 { 1 } else { 2 }) };
        let changes = |axis: usize| target[axis] != (run.dims[axis], 1.0);
        let first_changed = (0..rank).find(|&axis| changes(axis)).unwrap_or(rank);
        let spatial = if first_changed < free { rank.saturating_sub(2) } else { free };
        if first_changed < spatial {
            return Err("only the last two axes can be resized".into());
        }
        if first_changed == rank {
            return one(run);
        }
        let count = rank - spatial;
        let (rows, columns) =
            if count == 2 { (target[rank - 2], target[rank - 1]) } else { ((1, 1.0), target[rank - 1]) };
        let in_size = if count == 2 { [run.dims[rank - 2], run.dims[rank - 1]] } else { [1, run.dims[rank - 1]] };
        let lead = &run.dims[..spatial];
        let shape = match *lead {
            [] => [1, 1, in_size[0], in_size[1]],
            [n, ref rest @ ..] => [n, rest.iter().product(), in_size[0], in_size[1]],
        };
        let size = [rows.0, columns.0];
        let scale = [rows.1, columns.1];
        let (coordinates, scale) = coordinates(node, old)?.by_scaled_length(in_size, size, scale);
        let exact = (0..2).all(|axis| size[axis] as f64 / in_size[axis] as f64 == scale[axis]);
        let upwards = scale.iter().all(|&scale| scale >= 1.0);
        let resize = Resize {
            size,
            scale: (!exact).then_some(scale),
            interpolation: interpolation(node, old, upwards)?,
            coordinates,
        };
        let placed = self.place(&run, shape)?;
        let result = self.emit(&self.name(node), Op::Resize(resize), &[&placed], vec![])?;
        let dims: Vec<usize> = (0..rank).map(|axis| target[axis].0).collect();
        one(result.with(dims))
    }
}

impl Coordinates {
    /// Corners are aligned by the scaled length, in ONNX also where that is no whole number; in the description it is
    /// always the number of pixels. What differs is a rule without alignment, with another scale.
    fn by_scaled_length(self, from: [usize; 2], to: [usize; 2], scale: [f64; 2]) -> (Self, [f64; 2]) {
        let scaled = [0, 1].map(|axis| from[axis] as f64 * scale[axis]);
        // A scale that was rounded to f32 does not make the length another one.
        let whole = (0..2).all(|axis| (scaled[axis] - to[axis] as f64).abs() <= 1e-4);
        if self != Coordinates::AlignCorners || whole {
            return (self, scale);
        }
        // A single pixel is the first one whatever the scale.
        let steps = |axis: usize| if to[axis] > 1 && from[axis] > 1 { from[axis] as f64 - 1.0 } else { 1.0 };
        let last = |axis: usize| if to[axis] > 1 && from[axis] > 1 { scaled[axis] - 1.0 } else { 1.0 };
        (Coordinates::Asymmetric, [0, 1].map(|axis| last(axis) / steps(axis)))
    }
}

fn interpolation(node: &Node, old: bool, upwards: bool) -> Result<Interpolation, Stop> {
    let outside = node.int("exclude_outside", 0) != 0;
    match node.text("mode", "nearest").as_str() {
        // Before operator set 11 the nearest pixel was not defined any closer than this.
        "nearest" if old => Ok(Interpolation::Nearest(if upwards { Rounding::Floor } else { Rounding::Ceil })),
        "nearest" => {
            let rounding = match node.text("nearest_mode", "round_prefer_floor").as_str() {
                "round_prefer_floor" => Rounding::HalfDown,
                "round_prefer_ceil" => Rounding::HalfUp,
                "floor" => Rounding::Floor,
                "ceil" => Rounding::Ceil,
                other => return Err(format!("the nearest_mode `{other}` is not supported").into()),
            };
            Ok(Interpolation::Nearest(rounding))
        }
        "linear" | "bilinear" => Ok(Interpolation::Linear),
        "cubic" if outside => Err("exclude_outside is not supported".into()),
        "cubic" => Ok(Interpolation::Cubic(f64::from(node.float("cubic_coeff_a", -0.75)))),
        other => Err(format!("the mode `{other}` is not supported").into()),
    }
}

fn coordinates(node: &Node, old: bool) -> Result<Coordinates, Stop> {
    if old {
        return Ok(Coordinates::Asymmetric);
    }
    match node.text("coordinate_transformation_mode", "half_pixel").as_str() {
        "half_pixel" => Ok(Coordinates::HalfPixel),
        "half_pixel_symmetric" => Ok(Coordinates::HalfPixelSymmetric),
        "pytorch_half_pixel" => Ok(Coordinates::PytorchHalfPixel),
        "align_corners" => Ok(Coordinates::AlignCorners),
        "asymmetric" => Ok(Coordinates::Asymmetric),
        other => Err(format!("the coordinate_transformation_mode `{other}` is not supported").into()),
    }
}
