//! Shape arithmetic: what an operator makes of the shapes of its inputs, and which attributes and shapes it refuses.

use super::{Conv2d, ConvTranspose2d, Interpolation, Node, Op, PaddingMode};
use crate::{Error, Result};

/// Extents of a feature map: batch, channels, height, width.
pub type Shape = [usize; 4];

/// No extent and no attribute may be larger: far above any real network, far below overflow.
const MAX_EXTENT: usize = 1 << 24;
/// Nor may a feature map, for a batch of one, have more elements than this: 4 GiB of `f32`.
const MAX_ELEMENTS: usize = if usize::BITS > 32 { 1 << 30 } else { 1 << 27 };

/// Nor may a resized map reach further than this into its input: above it, numbers of double precision are whole.
const MAX_COORDINATE: f64 = (1u64 << 52) as f64;

/// Nor may a pooling window have more taps: far above a window over a whole map of 224×224, and still quick to walk.
const MAX_POOL_TAPS: usize = 1 << 18;
/// Nor may all D of a layer together, which a folded file does not hold but an expansion makes,
const MAX_D_ELEMENTS: usize = 1 << 26;
/// nor its W.
const MAX_W_ELEMENTS: usize = 1 << 28;

impl Node {
    /// The shape of this node's value for a batch, given those of its inputs.
    ///
    /// # Errors
    /// [`Error::Network`] if the operator cannot take them.
    pub fn output_shape(&self, inputs: &[Shape], batch: usize) -> Result<Shape> {
        let fail = |reason: String| Err(Error::node(&self.name, reason));
        let (arity, inputs_wanted) = match self.op {
            Op::Constant(_) => (0..=0, "no input"),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Prelu => (2..=2, "two inputs"),
            Op::Concat => (1..=usize::MAX, "at least one input"),
            _ => (1..=1, "one input"),
        };
        if !arity.contains(&inputs.len()) {
            return fail(format!("{} takes {inputs_wanted}, got {}", self.op.name(), inputs.len()));
        }
        if let Op::Constant(shape) = self.op {
            let [n, c, h, w] = checked_map(&self.name, shape)?;
            return Ok([n * batch, c, h, w]);
        }
        let [n, c, h, w] = inputs[0];
        let expect_channels = |expected: usize| {
            if expected == c {
                return Ok(());
            }
            Err(Error::node(&self.name, format!("expected {expected} input channels, gets {c}")))
        };
        match &self.op {
            Op::Conv2d(conv) => {
                conv.check().map_err(|reason| Error::node(&self.name, reason))?;
                expect_channels(conv.in_channels)?;
                check_padding(conv.padding_mode, [conv.padding[0], conv.padding[1]], [h, w])
                    .and_then(|()| check_padding(conv.padding_mode, [conv.padding[2], conv.padding[3]], [h, w]))
                    .map_err(|reason| Error::node(&self.name, reason))?;
                let window =
                    Window { kernel: conv.kernel, stride: conv.stride, padding: conv.padding, dilation: conv.dilation };
                let [oh, ow] = window.output(&self.name, [h, w], false)?;
                Ok([n, conv.out_channels, oh, ow])
            }
            Op::ConvTranspose2d(conv) => {
                conv.check().map_err(|reason| Error::node(&self.name, reason))?;
                expect_channels(conv.in_channels)?;
                let [oh, ow] = conv.output([h, w]).map_err(|reason| Error::node(&self.name, reason))?;
                Ok([n, conv.out_channels, oh, ow])
            }
            Op::BatchNorm(norm) => {
                expect_channels(norm.channels)?;
                if !(norm.eps.is_finite() && norm.eps >= 0.0) {
                    return fail(format!("eps {} is not a finite number ≥ 0", norm.eps));
                }
                Ok(inputs[0])
            }
            Op::Linear(linear) => {
                if linear.in_features != c * h * w {
                    return fail(format!("expected {} input features, gets {c}×{h}×{w}", linear.in_features));
                }
                Ok([n, linear.out_features, 1, 1])
            }
            Op::MaxPool(pool) => {
                let window =
                    Window { kernel: pool.kernel, stride: pool.stride, padding: pool.padding, dilation: pool.dilation };
                window.check_pool().map_err(|reason| Error::node(&self.name, reason))?;
                let [oh, ow] = window.output(&self.name, [h, w], pool.ceil_mode)?;
                window.check_reads([h, w], [oh, ow]).map_err(|reason| Error::node(&self.name, reason))?;
                Ok([n, c, oh, ow])
            }
            Op::AvgPool(pool) => {
                let window =
                    Window { kernel: pool.kernel, stride: pool.stride, padding: pool.padding, dilation: pool.dilation };
                window.check_pool().map_err(|reason| Error::node(&self.name, reason))?;
                let [oh, ow] = window.output(&self.name, [h, w], pool.ceil_mode)?;
                if !pool.count_include_pad {
                    window.check_reads([h, w], [oh, ow]).map_err(|reason| Error::node(&self.name, reason))?;
                }
                Ok([n, c, oh, ow])
            }
            Op::GlobalAvgPool | Op::GlobalMaxPool => Ok([n, c, 1, 1]),
            Op::Activation(activation) => {
                activation.check().map_err(|reason| Error::node(&self.name, reason))?;
                Ok(inputs[0])
            }
            Op::Softmax | Op::LogSoftmax => Ok(inputs[0]),
            Op::Flatten => Ok([n, c * h * w, 1, 1]),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Prelu => {
                let [a, b] = [inputs[0], inputs[1]];
                // Items are those of one element of the batch; the batch itself is never repeated.
                let items = |shape: Shape| [shape[0] / batch, shape[1], shape[2], shape[3]];
                let (a, b) = (items(a), items(b));
                if a.iter().zip(&b).any(|(&a, &b)| a != b && a != 1 && b != 1) {
                    return fail(format!("cannot combine {} with {}", describe(a), describe(b)));
                }
                let shape: Shape = std::array::from_fn(|axis| a[axis].max(b[axis]));
                Ok([shape[0] * batch, shape[1], shape[2], shape[3]])
            }
            Op::Constant(shape) => Ok(*shape),
            Op::Reshape([items, c2, h2, w2]) => {
                let count = [*items, *c2, *h2, *w2].iter().try_fold(batch, |count, &extent| count.checked_mul(extent));
                if count != Some(n * c * h * w) {
                    let from = describe([n / batch, c, h, w]);
                    return fail(format!("cannot reshape {from} to {}", describe([*items, *c2, *h2, *w2])));
                }
                Ok([items * batch, *c2, *h2, *w2])
            }
            Op::Transpose(axes) => {
                let mut seen = *axes;
                seen.sort_unstable();
                if seen != [0, 1, 2, 3] {
                    return fail(format!("{axes:?} does not name each of the axes 0, 1, 2 and 3 once"));
                }
                let shape = [n / batch, c, h, w];
                let [items, c, h, w] = axes.map(|axis| shape[axis]);
                Ok([items * batch, c, h, w])
            }
            Op::Slice(slice) => {
                let shape = [n / batch, c, h, w];
                for (axis, &extent) in shape.iter().enumerate() {
                    let (start, step, count) = (slice.start[axis], slice.step[axis], slice.count[axis]);
                    let last = isize::try_from(count)
                        .ok()
                        .and_then(|count| (count - 1).checked_mul(step))
                        .and_then(|way| way.checked_add_unsigned(start));
                    let inside = |at: isize| usize::try_from(at).is_ok_and(|at| at < extent);
                    if step == 0 || count == 0 || start >= extent || !last.is_some_and(inside) {
                        return fail(format!(
                            "{count} elements from {start} on, {step} apart, do not lie within the {extent} of axis {axis}"
                        ));
                    }
                }
                let [items, c, h, w] = slice.count;
                Ok([items * batch, c, h, w])
            }
            Op::Pad(pad) => {
                let shape = [n / batch, c, h, w];
                if !pad.value.is_finite() {
                    return fail(format!("pads with {}", pad.value));
                }
                let mut padded = shape;
                for (axis, extent) in padded.iter_mut().enumerate() {
                    let (before, after) = (pad.before[axis], pad.after[axis]);
                    if before > MAX_EXTENT || after > MAX_EXTENT {
                        return fail(format!("padding {before}+{after} is larger than {MAX_EXTENT}"));
                    }
                    check_padding(pad.mode, [before, after], [*extent, *extent])
                        .map_err(|reason| Error::node(&self.name, reason))?;
                    *extent += before + after;
                }
                let [items, c, h, w] = padded;
                Ok([items * batch, c, h, w])
            }
            Op::Resize(resize) => {
                if let Some(scale) = resize.scale
                    && !scale.iter().all(|scale| scale.is_finite() && *scale > 0.0)
                {
                    return fail(format!("scale {scale:?} is not positive"));
                }
                // Beyond that there are no pixels between which to weigh, and weights would be NaN.
                if let Some(scale) = resize.scale
                    && (0..2).any(|axis| resize.size[axis] as f64 / scale[axis] > MAX_COORDINATE)
                {
                    return fail(format!("scale {scale:?} is too small for an output of {:?}", resize.size));
                }
                if let Interpolation::Cubic(a) = resize.interpolation
                    && !a.is_finite()
                {
                    return fail(format!("the cubic coefficient is {a}"));
                }
                Ok([n, c, resize.size[0], resize.size[1]])
            }
            Op::Lrn(lrn) => {
                let finite = [lrn.alpha, lrn.beta, lrn.k].iter().all(|value| value.is_finite());
                if lrn.size == 0 || lrn.size > MAX_EXTENT || !finite {
                    return fail(format!("{lrn:?} has a parameter out of range"));
                }
                Ok(inputs[0])
            }
            Op::Concat => {
                let mut channels = 0;
                for &[n2, c2, h2, w2] in inputs {
                    if [n2, h2, w2] != [n, h, w] {
                        return fail(format!("cannot concatenate maps of {h}×{w} and {h2}×{w2}"));
                    }
                    channels = c2.saturating_add(channels);
                }
                Ok([n, channels, h, w])
            }
        }
    }
}

/// A sliding window: the part convolution and pooling have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
    pub dilation: [usize; 2],
}

impl Window {
    fn check(&self) -> Result<(), String> {
        let positive = [("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)];
        for (name, pair) in positive {
            if pair.iter().any(|&value| value == 0 || value > MAX_EXTENT) {
                return Err(format!("{name} {pair:?} is not within 1…{MAX_EXTENT}"));
            }
        }
        if self.padding.iter().any(|&value| value > MAX_EXTENT) {
            return Err(format!("padding {:?} is larger than {MAX_EXTENT}", self.padding));
        }
        // Where addresses have 32 bits, the product may be more than a number holds.
        let is_far = |axis: usize| (self.kernel[axis] - 1).saturating_mul(self.dilation[axis]) > 3 * MAX_EXTENT;
        if (0..2).any(is_far) {
            return Err(format!("kernel {:?} with dilation {:?} reaches beyond any map", self.kernel, self.dilation));
        }
        Ok(())
    }

    /// A pooling window of nothing but padding would have no value.
    fn check_pool(&self) -> Result<(), String> {
        self.check()?;
        if self.kernel[0].saturating_mul(self.kernel[1]) > MAX_POOL_TAPS {
            return Err(format!("a pooling window of {:?} has more than {MAX_POOL_TAPS} taps", self.kernel));
        }
        let reach = |axis: usize| (self.kernel[axis] - 1) * self.dilation[axis];
        for (axis, sides) in [(0, [self.padding[0], self.padding[2]]), (1, [self.padding[1], self.padding[3]])] {
            if sides.iter().any(|&side| side > reach(axis)) {
                return Err(format!("padding {:?} is wider than the window {:?}", self.padding, self.kernel));
            }
        }
        Ok(())
    }

    /// The taps of a dilated window that starts in the padding may jump over a small map.
    fn check_reads(&self, size: [usize; 2], output: [usize; 2]) -> Result<(), String> {
        for axis in 0..2 {
            let (before, dilation) = (self.padding[axis], self.dilation[axis]);
            // Only windows that start before the map can miss it.
            let starts = (0..output[axis]).map(|index| index * self.stride[axis]).take_while(|&start| start < before);
            for start in starts {
                let first_inside = (before - start).next_multiple_of(dilation) - (before - start);
                if first_inside >= size[axis] {
                    return Err(format!(
                        "with padding {:?} and dilation {:?} a window lies in the padding alone",
                        self.padding, self.dilation
                    ));
                }
            }
        }
        Ok(())
    }

    /// Height and width of the output for an input of `size`.
    fn output(&self, node: &str, size: [usize; 2], ceil_mode: bool) -> Result<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let (before, after) = (self.padding[axis], self.padding[axis + 2]);
            let padded = size[axis] + before + after;
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            if padded < reach {
                let name = ["height", "width"][axis];
                return Err(Error::node(
                    node,
                    format!(
                        "a window of {reach} does not fit the {name} of {} with padding {before}+{after}",
                        size[axis]
                    ),
                ));
            }
            let free = padded - reach;
            let stride = self.stride[axis];
            output[axis] = free / stride + 1;
            // PyTorch: one more window where a partial one is left, unless it would start in the padding behind.
            if ceil_mode && !free.is_multiple_of(stride) && output[axis] * stride < size[axis] + before {
                output[axis] += 1;
            }
        }
        Ok(output)
    }
}

impl Conv2d {
    /// What is wrong with the attributes themselves, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        Window { kernel: self.kernel, stride: self.stride, padding: self.padding, dilation: self.dilation }.check()?;
        for (name, value) in
            [("in_channels", self.in_channels), ("out_channels", self.out_channels), ("groups", self.groups)]
        {
            if value == 0 || value > MAX_EXTENT {
                return Err(format!("{name} {value} is not within 1…{MAX_EXTENT}"));
            }
        }
        if !self.in_channels.is_multiple_of(self.groups) || !self.out_channels.is_multiple_of(self.groups) {
            return Err(format!(
                "{} input and {} output channels are not multiples of {} groups",
                self.in_channels, self.out_channels, self.groups
            ));
        }
        let count = [self.out_channels, self.channels_per_group(), self.kernel[0], self.kernel[1]]
            .iter()
            .try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if count.is_none_or(|count| count > MAX_ELEMENTS) {
            return Err(format!("a kernel of shape {:?} is too large", self.kernel_shape()));
        }
        match &self.doconv {
            Some(doconv) if doconv.d_mul == 0 || doconv.d_mul > MAX_EXTENT => {
                Err(format!("d_mul {} is not within 1…{MAX_EXTENT}", doconv.d_mul))
            }
            Some(doconv) if self.taps() == 1 && doconv.d_mul != 1 => {
                Err(format!("a 1×1 convolution has no D, so its d_mul is 1, not {}", doconv.d_mul))
            }
            Some(doconv) => {
                let within = |extents: [usize; 3], limit: usize| {
                    crate::tensor::element_count(&extents).is_some_and(|count| count <= limit)
                };
                let d = [self.in_channels, self.taps(), doconv.d_mul];
                let w = [self.out_channels, self.channels_per_group(), doconv.d_mul];
                if within(d, MAX_D_ELEMENTS) && within(w, MAX_W_ELEMENTS) {
                    return Ok(());
                }
                Err(format!("with d_mul {} W would be {w:?} and D {d:?}, which is too large", doconv.d_mul))
            }
            None => Ok(()),
        }
    }
}

impl ConvTranspose2d {
    /// What is wrong with the attributes themselves, if anything.
    fn check(&self) -> Result<(), String> {
        self.mirrored().check()?;
        if self.padding.iter().any(|&side| side > MAX_EXTENT) {
            return Err(format!("padding {:?} is larger than {MAX_EXTENT}", self.padding));
        }
        for axis in 0..2 {
            if self.output_padding[axis] >= self.stride[axis].max(self.dilation[axis]) {
                return Err(format!(
                    "output_padding {:?} is not smaller than the stride {:?} or the dilation {:?}",
                    self.output_padding, self.stride, self.dilation
                ));
            }
        }
        // It is run as a convolution with an output channel for every pixel of a block of stride × stride.
        let taps = [0, 1].map(|axis| {
            let reach = self.padding[axis].max((self.kernel[axis] - 1) * self.dilation[axis]);
            reach / self.stride[axis] + 3
        });
        let factors = [self.out_channels, self.stride[0], self.stride[1], self.channels_per_group(), taps[0], taps[1]];
        let count = factors.iter().try_fold(1usize, |product, &factor| product.checked_mul(factor));
        let walk = (0..2).map(|axis| self.stride[axis].saturating_mul(self.kernel[axis])).max().unwrap_or(0);
        if count.is_none_or(|count| count > MAX_ELEMENTS) || walk > MAX_EXTENT {
            return Err(format!(
                "a transposed convolution with stride {:?} and kernel {:?} is too large",
                self.stride, self.kernel
            ));
        }
        Ok(())
    }

    /// The convolution whose input gradient this is, without padding.
    pub(crate) fn mirrored(&self) -> Conv2d {
        Conv2d {
            stride: self.stride,
            dilation: self.dilation,
            groups: self.groups,
            ..Conv2d::new(self.out_channels, self.in_channels, self.kernel)
        }
    }

    /// Height and width of the output for an input of `size`.
    fn output(&self, size: [usize; 2]) -> Result<[usize; 2], String> {
        let mut output = [0; 2];
        for axis in 0..2 {
            // Saturating where addresses have 32 bits: such a map is refused for its size.
            let steps = (size[axis] - 1).saturating_mul(self.stride[axis]);
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1 + self.output_padding[axis];
            let whole = steps.saturating_add(reach);
            let cut = self.padding[axis].saturating_add(self.padding[axis + 2]);
            output[axis] = whole
                .checked_sub(cut)
                .filter(|&left| left > 0)
                .ok_or_else(|| format!("padding {:?} leaves nothing of the {whole} rows or columns", self.padding))?;
        }
        Ok(output)
    }
}

/// A map can only be mirrored as far as it reaches, and be repeated once.
fn check_padding(mode: PaddingMode, padding: [usize; 2], size: [usize; 2]) -> Result<(), String> {
    for (&padding, &size) in padding.iter().zip(&size) {
        let (possible, limit) = match mode {
            PaddingMode::Zeros | PaddingMode::Replicate => continue,
            PaddingMode::Reflect => (padding < size, "less than"),
            PaddingMode::Circular => (padding <= size, "at most"),
        };
        if !possible {
            return Err(format!("{mode:?} padding must be {limit} the map's {size}, not {padding}"));
        }
    }
    Ok(())
}

/// A shape for one element of a batch in words: the items are mentioned where they are several.
fn describe([items, c, h, w]: Shape) -> String {
    if items == 1 { format!("{c}×{h}×{w}") } else { format!("{items}×{c}×{h}×{w}") }
}

pub(super) fn checked_map(name: &str, shape: Shape) -> Result<Shape> {
    let count = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let sane = shape.iter().all(|&extent| (1..=MAX_EXTENT).contains(&extent));
    if !sane || count.is_none_or(|count| count > MAX_ELEMENTS) {
        return Err(Error::node(name, format!("a map of shape {shape:?} is empty or too large")));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::super::{Coordinates, MaxPool, Resize};
    use super::*;

    #[test]
    fn a_dilated_window_of_padding_alone_is_refused() {
        let pool =
            MaxPool { kernel: [1, 2], stride: [1, 1], padding: [0, 2, 0, 2], dilation: [1, 3], ceil_mode: false };
        let node = Node { name: "pool".into(), inputs: vec!["input".into()], op: Op::MaxPool(pool) };
        // Windows start at −2 and −1, so that their taps are at −2 and 1, and at −1 and 2.
        assert!(node.output_shape(&[[1, 1, 1, 1]], 1).is_err());
        assert!(node.output_shape(&[[1, 1, 1, 2]], 1).is_err());
        assert_eq!(node.output_shape(&[[1, 1, 1, 3]], 1).unwrap(), [1, 1, 1, 4]);
    }

    #[test]
    fn windows_and_scales_stay_within_numbers() {
        let node = |op| Node { name: "node".into(), inputs: vec!["input".into()], op };
        let far = Conv2d { dilation: [1, 65_536], ..Conv2d::new(1, 1, [1, 65_537]) };
        let error = node(Op::Conv2d(far)).output_shape(&[[1, 1, 1, 9]], 1).unwrap_err().to_string();
        assert!(error.contains("reaches beyond any map"), "{error}");
        for coordinates in [Coordinates::HalfPixel, Coordinates::HalfPixelSymmetric, Coordinates::Asymmetric] {
            let (scale, interpolation) = (Some([1.0, 5e-324]), Interpolation::Linear);
            let resize = Resize { size: [2, 2], scale, interpolation, coordinates };
            let error = node(Op::Resize(resize)).output_shape(&[[1, 1, 2, 2]], 1).unwrap_err().to_string();
            assert!(error.contains("too small"), "{error}");
        }
    }
}
