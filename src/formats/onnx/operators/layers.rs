//! Convolutions and batch norms.

use super::super::doconv;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Run, Stop};
use super::{MAX_EXTENT, Values, one};
use crate::Tensor;
use crate::network::{BatchNorm, Conv2d, ConvTranspose2d, DoConv, Op, Pairing};

/// The attributes of a sliding window along two axes; where there is one axis, the first is trivial.
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 4],
    pub dilation: [usize; 2],
}

/// One or two numbers for height and width.
pub(super) fn pair(values: &[usize], default: usize) -> Result<[usize; 2], Stop> {
    match *values {
        [w] => Ok([default, w]),
        [h, w] => Ok([h, w]),
        _ => Err(format!("it has {} spatial axes; one and two are supported", values.len()).into()),
    }
}

/// Positive numbers of an attribute, as many as there are spatial axes.
fn numbers(node: &Node, name: &str, count: usize, default: usize) -> Result<Vec<usize>, Stop> {
    let Some(values) = node.ints(name) else { return Ok(vec![default; count]) };
    let valid = values.iter().all(|&value| (0..=MAX_EXTENT).contains(&value));
    if values.len() != count || !valid {
        return Err(format!("its {name} {values:?} are not {count} numbers from 0 to {MAX_EXTENT}").into());
    }
    Ok(values.iter().map(|&value| value as usize).collect())
}

impl Window {
    /// Reads the attributes of a node whose input has these spatial extents.
    pub fn of(node: &Node, kernel: &[usize], size: &[usize]) -> Result<Self, Stop> {
        let count = size.len();
        if kernel.len() != count || kernel.contains(&0) {
            return Err(format!("a window of {kernel:?} does not fit {count} spatial axes").into());
        }
        let strides = numbers(node, "strides", count, 1)?;
        let dilations = numbers(node, "dilations", count, 1)?;
        let mut pads = numbers(node, "pads", 2 * count, 0)?;
        let auto = node.text("auto_pad", "NOTSET");
        if auto.starts_with("SAME") {
            for axis in 0..count {
                let stride = strides[axis].max(1);
                let reach = (kernel[axis] - 1).saturating_mul(dilations[axis]).saturating_add(1);
                let span = (size[axis].div_ceil(stride) - 1) * stride;
                let total = span.saturating_add(reach).saturating_sub(size[axis]);
                let less = total / 2;
                let more = total - less;
                let (before, after) = if auto == "SAME_LOWER" { (more, less) } else { (less, more) };
                (pads[axis], pads[axis + count]) = (before, after);
            }
        } else if auto == "VALID" {
            pads.fill(0);
        }
        let (before, after) = (pair(&pads[..count], 0)?, pair(&pads[count..], 0)?);
        Ok(Self {
            kernel: pair(kernel, 1)?,
            stride: pair(&strides, 1)?,
            padding: [before[0], before[1], after[0], after[1]],
            dilation: pair(&dilations, 1)?,
        })
    }
}

/// The extents of a map as those of a value with as many axes as another one.
pub(super) fn unplaced(shape: [usize; 4], rank: usize) -> Vec<usize> {
    let [n, c, h, w] = shape;
    if rank == 3 { vec![n, c, w] } else { vec![n, c, h, w] }
}

impl Importer<'_> {
    pub(super) fn conv(&mut self, node: &Node) -> Values {
        let kernel = self.known(node, 1)?.ok_or("its kernel is missing")?;
        let run = self.run(node, 0)?;
        let dims = kernel.dims();
        let (rank, groups) = (run.rank(), usize::try_from(node.int("group", 1)).unwrap_or(0));
        if !(3..=4).contains(&rank) || dims.len() != rank || groups == 0 {
            return Err(format!(
                "a kernel {dims:?} with {groups} groups on {:?} is not supported; convolutions have one or two spatial \
                 axes",
                run.dims
            )
            .into());
        }
        let window = Window::of(node, &dims[2..], &run.dims[2..])?;
        // PyTorch's exporter gives a layer without bias one of zeros.
        let bias = self.known(node, 2)?.filter(|bias| bias.to_f32().iter().any(|&value| value != 0.0));
        let mut conv = Conv2d {
            stride: window.stride,
            padding: window.padding,
            dilation: window.dilation,
            groups,
            bias: bias.is_some(),
            ..Conv2d::new(dims[1].saturating_mul(groups), dims[0], window.kernel)
        };
        conv.check()?;
        let mut weights = vec![];
        if let Some(bias) = bias {
            weights.push(("bias", Tensor::new(bias.dims(), bias.to_f32())?));
        }
        let composed = node.input(1).and_then(|name| doconv::recognise(self, name, &kernel, &conv));
        let name = match composed {
            Some(composed) => {
                conv.doconv = Some(DoConv { d_mul: composed.d_mul, pairing: Pairing::Torch });
                weights.push(("W", composed.w));
                weights.push(("D", composed.d));
                weights.extend(composed.d_diag.map(|diagonal| ("d_diag", diagonal)));
                composed.layer.unwrap_or_else(|| self.name(node))
            }
            None => {
                weights.push(("weight", Tensor::new(conv.kernel_shape(), kernel.to_f32())?));
                self.layer_name(node, 1)
            }
        };
        let placed = self.placed(&run)?;
        let result = self.emit(&name, Op::Conv2d(conv), &[&placed], weights)?;
        let dims = unplaced(result.shape, rank);
        one(result.with(dims))
    }

    pub(super) fn conv_transpose(&mut self, node: &Node) -> Values {
        let kernel = self.known(node, 1)?.ok_or("its kernel is missing")?;
        let run = self.run(node, 0)?;
        let dims = kernel.dims();
        let (rank, groups) = (run.rank(), usize::try_from(node.int("group", 1)).unwrap_or(0));
        if !(3..=4).contains(&rank) || dims.len() != rank || groups == 0 {
            return Err(format!("a kernel {dims:?} on {:?} is not supported", run.dims).into());
        }
        let (size, count) = (&run.dims[2..], rank - 2);
        let strides = numbers(node, "strides", count, 1)?;
        let dilations = numbers(node, "dilations", count, 1)?;
        let mut output_padding = numbers(node, "output_padding", count, 0)?;
        let mut pads = numbers(node, "pads", 2 * count, 0)?;
        let auto = node.text("auto_pad", "NOTSET");
        let wanted = match node.ints("output_shape").filter(|shape| !shape.is_empty()) {
            // Some files name all axes here.
            Some(shape) if shape.len() == rank => Some(super::super::axis_rules::extents(&shape[2..])?),
            Some(_) => Some(numbers(node, "output_shape", count, 1)?),
            None if auto.starts_with("SAME") => {
                Some(size.iter().zip(&strides).map(|(extent, stride)| extent.saturating_mul(*stride)).collect())
            }
            None => None,
        };
        if auto == "VALID" {
            pads.fill(0);
        }
        if let Some(wanted) = wanted {
            for axis in 0..count {
                let reach = dims[axis + 2].saturating_sub(1).saturating_mul(dilations[axis]).saturating_add(1);
                let span = (size[axis] - 1).saturating_mul(strides[axis]);
                let whole = span.saturating_add(reach).saturating_add(output_padding[axis]);
                let total = whole.saturating_sub(wanted[axis]);
                output_padding[axis] += wanted[axis].saturating_sub(whole);
                let less = total / 2;
                let more = total - less;
                let (before, after) = if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
                (pads[axis], pads[axis + count]) = (before, after);
            }
        }
        let bias = self.known(node, 2)?;
        let (before, after) = (pair(&pads[..count], 0)?, pair(&pads[count..], 0)?);
        let conv = ConvTranspose2d {
            in_channels: dims[0],
            out_channels: dims[1].saturating_mul(groups),
            kernel: pair(&dims[2..], 1)?,
            stride: pair(&strides, 1)?,
            padding: [before[0], before[1], after[0], after[1]],
            output_padding: pair(&output_padding, 0)?,
            dilation: pair(&dilations, 1)?,
            groups,
            bias: bias.is_some(),
        };
        let mut weights = vec![("weight", Tensor::new(conv.kernel_shape(), kernel.to_f32())?)];
        if let Some(bias) = bias {
            weights.push(("bias", Tensor::new(bias.dims(), bias.to_f32())?));
        }
        let placed = self.placed(&run)?;
        let result = self.emit(&self.layer_name(node, 1), Op::ConvTranspose2d(conv), &[&placed], weights)?;
        let dims = unplaced(result.shape, rank);
        one(result.with(dims))
    }

    pub(super) fn batch_norm(&mut self, node: &Node) -> Values {
        if node.int("training_mode", 0) != 0 || (node.opset < 7 && node.int("is_test", 0) == 0) {
            return Err("training mode is not supported".into());
        }
        if node.opset < 9 && node.int("spatial", 1) == 0 {
            return Err("one mean for every pixel (spatial = 0) is not supported".into());
        }
        let parameters = (1..=4).map(|index| self.known(node, index)).collect::<Result<Vec<_>, _>>()?;
        let run = self.run(node, 0)?;
        let placed = self.channels_placed(&run)?;
        let channels = placed.shape[1];
        let mut weights = vec![];
        for (part, array) in ["weight", "bias", "running_mean", "running_var"].into_iter().zip(parameters) {
            let array = array.ok_or_else(|| format!("its {part} is missing"))?;
            if array.dims() != [channels] {
                return Err(format!("its {part} {:?} does not fit {channels} channels", array.dims()).into());
            }
            weights.push((part, Tensor::new([channels], array.to_f32())?));
        }
        // The number that was meant, not the nearest f32: 1e-5 rather than 9.999999747378752e-06.
        let eps = node.float("epsilon", 1e-5).to_string().parse().unwrap_or(1e-5);
        let norm = Op::BatchNorm(BatchNorm { channels, eps });
        let result = self.emit(&self.layer_name(node, 1), norm, &[&placed], weights)?;
        one(result.with(run.dims))
    }

    /// A value of at least two axes, the second of which is its map's channels.
    fn channels_placed(&mut self, run: &Run) -> Result<Run, Stop> {
        match run.rank() {
            0 | 1 => Err(format!("it takes at least two axes, not {:?}", run.dims).into()),
            2..=4 => self.placed(run),
            _ => self.place(run, [run.dims[0], run.dims[1], 1, run.dims[2..].iter().product()]),
        }
    }
}
