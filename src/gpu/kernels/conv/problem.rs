//! A convolution as its kernels see it: extents, and their uniform block.

use crate::gpu::shader::{ActivationClass, Kernel, ShaderKey, params, slices};
use crate::network::{Activation, Conv2d, Shape};
use crate::plan::Conv;
use crate::winograd::Winograd;

params! {
    /// All convolutions. Sizes are in pixels, slices (of four channels) or channels as the names say; a split sum has
    /// `parts`, of `part_slices` input slices each; `residual` says whether there is one.
    ConvParams {
        pixels: u32, maps: u32,
        in_height: u32, in_width: u32, in_slices: u32,
        out_height: u32, out_width: u32, out_slices: u32, out_channels: u32,
        groups: u32, group_in_slices: u32, group_out_slices: u32, group_inputs: u32, group_outputs: u32,
        kernel_height: u32, kernel_width: u32,
        stride_y: u32, stride_x: u32, pad_top: u32, pad_left: u32, dilation_y: u32, dilation_x: u32,
        parts: u32, part_slices: u32,
        residual: u32, lower: f32, upper: f32,
    }
}

/// A convolution of maps of certain shapes, or the products of a Winograd convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvProblem {
    /// Its attributes.
    pub conv: Conv2d,
    /// The input's shape for the whole batch.
    pub input: Shape,
    /// The output's.
    pub output: Shape,
    /// What is fused behind it.
    pub activation: Option<Activation>,
    /// For the products of a Winograd convolution, its tiles: the kernel then has every group's outputs by themselves, and sums
    /// are stored as they are.
    pub products_of: Option<Winograd>,
}

impl ConvProblem {
    /// That of a step with maps of these shapes.
    pub fn of(step: &Conv, input: Shape, output: Shape) -> Self {
        Self { conv: step.conv.clone(), input, output, activation: step.activation, products_of: None }
    }

    /// That of one image, with an output of this height and width; the input's extents are left open.
    pub fn of_image(conv: &Conv2d, [height, width]: [usize; 2]) -> Self {
        Self {
            conv: conv.clone(),
            input: [1, conv.in_channels, height, width],
            output: [1, conv.out_channels, height, width],
            activation: None,
            products_of: None,
        }
    }

    /// The products of a Winograd convolution: a matrix product for every place of the tiles, which is a 1×1 convolution of one
    /// row of tiles with a group for every place.
    pub fn products(&self, size: Winograd) -> Self {
        let [n, _, height, width] = self.output;
        let tiles = n * size.tiles([height, width]).into_iter().product::<usize>();
        let padded = |channels: usize| size.places() * slices(channels) * 4;
        let (inputs, outputs) = (padded(self.conv.in_channels), padded(self.conv.out_channels));
        Self {
            conv: Conv2d { groups: size.places(), ..Conv2d::new(inputs, outputs, [1, 1]) },
            input: [1, inputs, 1, tiles],
            output: [1, outputs, 1, tiles],
            activation: None,
            products_of: Some(size),
        }
    }

    /// Output pixels of the whole batch.
    pub fn pixels(&self) -> usize {
        self.output[0] * self.output[2] * self.output[3]
    }

    /// Output slices of a group.
    pub fn group_out_slices(&self) -> usize {
        slices(self.conv.outputs_per_group())
    }

    /// Output slices of an image.
    pub fn out_slices(&self) -> usize {
        slices(self.output[1])
    }

    /// Whether groups consist of whole slices on both sides, or there is one group.
    pub fn has_whole_slices(&self) -> bool {
        let conv = &self.conv;
        let whole = |channels: usize| channels.is_multiple_of(4);
        conv.groups == 1 || (whole(conv.channels_per_group()) && whole(conv.outputs_per_group()))
    }

    /// Whether a tile of so many output slices never reaches into another group.
    pub fn has_whole_tiles(&self, slices: u32) -> bool {
        self.conv.groups == 1 || self.group_out_slices().is_multiple_of(slices as usize)
    }

    /// Whether there are enough pixels and channels to fill a tile of a kernel with workgroup memory.
    pub fn fills_tile(&self) -> bool {
        self.pixels() >= 32 && self.output[1] / self.conv.groups >= 16
    }

    /// Whether every channel is convolved by itself, to one output, and not as the product of a Winograd convolution.
    pub fn is_depthwise(&self) -> bool {
        self.products_of.is_none() && self.conv.is_depthwise() && self.conv.outputs_per_group() == 1
    }

    /// Channels of an input slice that exist: fewer than four only for groups of fewer than four channels.
    pub fn lanes(&self) -> u32 {
        self.conv.channels_per_group().min(4) as u32
    }

    /// In how many parts its sums can be at most.
    pub fn most_parts(&self) -> u32 {
        /// Most invocations that share a sum.
        const MOST_PARTS: u32 = 32;
        MOST_PARTS.min(slices(self.conv.channels_per_group()) as u32)
    }

    /// What sums in so many parts take.
    pub fn bytes_of_sums(&self, parts: u32) -> u64 {
        16 * (parts as usize * self.out_slices() * self.pixels()) as u64
    }

    /// A key with what all convolution templates are specialised by; `split` for those that leave sums in parts.
    pub fn key(&self, kernel: &'static Kernel, workgroup: [u32; 2], split: bool) -> ShaderKey {
        let products = self.products_of.is_some();
        // What only leaves parts has nothing to do with them afterwards.
        let bare = split || products;
        let activation = if bare { ActivationClass::Bounds } else { ActivationClass::of(self.activation).0 };
        kernel.key(workgroup).with("products", products).with("split", split).with("activation", activation)
    }

    /// The uniform block.
    pub fn params(&self, parts: u32, residual: bool, [lower, upper]: [f32; 2]) -> ConvParams {
        let conv = &self.conv;
        let [n, in_channels, in_height, in_width] = self.input;
        let [_, out_channels, out_height, out_width] = self.output;
        let group_in_slices = slices(conv.channels_per_group());
        ConvParams {
            pixels: self.pixels() as u32,
            maps: (n * slices(out_channels)) as u32,
            in_height: in_height as u32,
            in_width: in_width as u32,
            in_slices: slices(in_channels) as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            out_slices: slices(out_channels) as u32,
            out_channels: out_channels as u32,
            groups: conv.groups as u32,
            group_in_slices: group_in_slices as u32,
            group_out_slices: self.group_out_slices() as u32,
            group_inputs: conv.channels_per_group() as u32,
            group_outputs: conv.outputs_per_group() as u32,
            kernel_height: conv.kernel[0] as u32,
            kernel_width: conv.kernel[1] as u32,
            stride_y: conv.stride[0] as u32,
            stride_x: conv.stride[1] as u32,
            pad_top: conv.padding[0] as u32,
            pad_left: conv.padding[1] as u32,
            dilation_y: conv.dilation[0] as u32,
            dilation_x: conv.dilation[1] as u32,
            parts,
            part_slices: group_in_slices.div_ceil(parts as usize) as u32,
            residual: residual.into(),
            lower,
            upper,
        }
    }
}

/// A key of a family for every activation, and one that leaves sums in parts: to be completed for
/// [`Kernel::specialisations`].
#[cfg(not(target_arch = "wasm32"))]
pub fn bare_keys(family: &'static Kernel, workgroup: [u32; 2]) -> Vec<ShaderKey> {
    let of = |split, class: ActivationClass| {
        family.key(workgroup).with("products", false).with("split", split).with("activation", class)
    };
    ActivationClass::ALL.map(|class| of(false, class)).into_iter().chain([of(true, ActivationClass::Bounds)]).collect()
}

/// The same for families that never leave sums in parts.
#[cfg(not(target_arch = "wasm32"))]
pub fn keys_of_whole_sums(family: &'static Kernel, workgroup: [u32; 2]) -> Vec<ShaderKey> {
    bare_keys(family, workgroup).into_iter().filter(|key| !key.flag("split")).collect()
}
