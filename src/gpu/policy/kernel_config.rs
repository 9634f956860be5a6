//! How one convolution is run, in full: what heuristics decide and autotuning overrules, and how files say it.

use std::fmt;

use crate::winograd::Winograd;

/// What an invocation keeps in registers, how invocations lie, and how sums are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Pixels of an invocation, or tiles of a Winograd convolution.
    pub pixels: u32,
    /// Its output slices.
    pub slices: u32,
    /// Invocations along pixels and along slices.
    pub workgroup: [u32; 2],
    /// How many invocations share a sum, each with some of the input slices: split-K.
    pub parts: u32,
}

impl Tile {
    /// An output slice of one pixel to an invocation.
    pub fn of_one_output(workgroup: [u32; 2]) -> Self {
        Self { pixels: 1, slices: 1, workgroup, parts: 1 }
    }

    /// Whether it is that, with so many invocations.
    pub fn is_of_one_output(&self, workgroup: [u32; 2]) -> bool {
        [self.pixels, self.slices] == [1, 1] && self.workgroup == workgroup
    }
}

/// How a convolution is run.
///
/// Its text is a line such as `direct 16x2 8x4`: a kernel, pixels and slices of an invocation, invocations along both. In
/// front of it may be `f2` or `f4`, for a Winograd convolution, of whose products it then speaks, and behind it `/4`, for sums
/// in four parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Winograd convolution, or tap by tap.
    pub winograd: Option<Winograd>,
    /// The kernel's name, such as `direct`: the products' kernel, of a Winograd convolution.
    pub kernel: &'static str,
    /// How it is specialised, as far as the kernel leaves room.
    pub tile: Tile,
}

impl fmt::Display for KernelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.winograd {
            write!(f, "f{} ", size.outputs())?;
        }
        let Tile { pixels, slices, workgroup: [x, y], parts } = self.tile;
        write!(f, "{} {pixels}x{slices} {x}x{y}", self.kernel)?;
        if parts > 1 {
            write!(f, " /{parts}")?;
        }
        Ok(())
    }
}

impl KernelConfig {
    /// Reads a text, given the names of the kernels that there are.
    pub fn parse(text: &str, kernels: impl Iterator<Item = &'static str>) -> Option<Self> {
        let pair = |text: &str| {
            let (a, b) = text.split_once('x')?;
            Some([a.parse().ok()?, b.parse().ok()?])
        };
        let mut words = text.split(' ').peekable();
        let winograd = Winograd::ALL.into_iter().find(|size| words.peek() == Some(&["f2", "f4"][*size as usize]));
        if winograd.is_some() {
            words.next();
        }
        let name = words.next()?;
        let kernel = { kernels }.find(|other| *other == name)?;
        let [pixels, slices] = pair(words.next()?)?;
        let workgroup = pair(words.next()?)?;
        let parts = match words.next() {
            Some(word) => word.strip_prefix('/')?.parse().ok()?,
            None => 1,
        };
        let config = Self { winograd, kernel, tile: Tile { pixels, slices, workgroup, parts } };
        words.next().is_none().then_some(config)
    }
}
