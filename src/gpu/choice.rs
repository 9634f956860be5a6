//! How one convolution is run, in full: what heuristics decide and measurements overrule, and how files say it.

use std::fmt;
use std::str::FromStr;

use super::layout::slices;
use super::shader::COOPERATIVE_PIXELS;
use super::winograd::Winograd;
use crate::network::Conv2d;

/// The families that can run a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// [`Shader::ConvDirect`](super::shader::Shader::ConvDirect).
    Direct,
    /// The same with weights that a subgroup loads together, on software adapters.
    Subgroup,
    /// [`Shader::ConvTiled`](super::shader::Shader::ConvTiled).
    Tiled,
    /// [`Shader::ConvCooperative`](super::shader::Shader::ConvCooperative), on adapters that have what it takes, in half
    /// precision.
    Cooperative,
    /// [`Shader::ConvDepthwise`](super::shader::Shader::ConvDepthwise).
    Depthwise,
    /// [`Shader::ConvGrouped`](super::shader::Shader::ConvGrouped).
    Grouped,
}

impl Family {
    const NAMES: [(Self, &str); 6] = [
        (Self::Direct, "direct"),
        (Self::Subgroup, "subgroup"),
        (Self::Tiled, "tiled"),
        (Self::Cooperative, "cooperative"),
        (Self::Depthwise, "depthwise"),
        (Self::Grouped, "grouped"),
    ];
}

/// What an invocation keeps in registers, how invocations lie, and how sums are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Pixels of an invocation, or tiles of Winograd's filtering.
    pub pixels: u32,
    /// Its output slices.
    pub slices: u32,
    /// Invocations along pixels and along slices.
    pub workgroup: [u32; 2],
    /// How many invocations share a sum, each with some of the input slices: split-K.
    pub parts: u32,
}

/// How a convolution is run.
///
/// Its text is a line such as `direct 16x2 8x4`: a family, pixels and slices of an invocation, invocations along both. In
/// front of it may be `f2` or `f4`, for Winograd's filtering, of whose products it then speaks, and behind it `/4`, for sums
/// in four parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Winograd's filtering, or tap by tap.
    pub winograd: Option<Winograd>,
    /// Which kernel: of the products, with Winograd's filtering.
    pub family: Family,
    /// How it is specialised, as far as the family leaves room.
    pub tile: Tile,
}

/// Most invocations that share a sum.
pub const MOST_PARTS: u32 = 32;

impl Choice {
    /// Whether this can run a convolution, groups included: choices come out of files, too.
    pub fn fits(&self, conv: &Conv2d) -> bool {
        let Tile { pixels, slices: wide, workgroup: [x, y], parts } = self.tile;
        let group_slices = slices(conv.outputs_per_group()) as u32;
        let whole = |wide: u32| group_slices.is_multiple_of(wide) || (conv.groups == 1 && self.winograd.is_none());
        let fits_family = match self.family {
            Family::Direct => {
                [1, 2, 4, 8, 16].contains(&pixels)
                    && [1, 2, 4].contains(&wide)
                    && whole(wide)
                    && x.is_power_of_two()
                    && y.is_power_of_two()
                    && (16..=256).contains(&x.saturating_mul(y))
            }
            Family::Subgroup => {
                let tile = [2, 4, 8].contains(&pixels) && [2, 4].contains(&wide) && whole(wide);
                tile && [8, 16, 32].contains(&x) && y == 1
            }
            Family::Tiled => pixels == 8 && [1, 2].contains(&wide) && [x, y] == [8, 8],
            Family::Cooperative => {
                let columns = [4, 8, 16].contains(&wide) && group_slices.is_multiple_of(wide);
                [pixels, x, y] == [COOPERATIVE_PIXELS, COOPERATIVE_PIXELS, 1] && columns && self.winograd.is_none()
            }
            Family::Depthwise => [1, 2, 4].contains(&pixels) && wide == 1 && [x, y] == [8, 8],
            Family::Grouped => pixels == 1 && wide == 1 && [x, y] == [64, 1],
        };
        let can_be_split = matches!(self.family, Family::Direct | Family::Tiled) && self.winograd.is_none();
        let most = MOST_PARTS.min(slices(conv.channels_per_group()) as u32);
        let fits_parts = if can_be_split { (1..=most).contains(&parts) } else { parts == 1 };
        fits_family && fits_parts && self.winograd.is_none_or(|_| Winograd::can_run(conv))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.winograd {
            write!(f, "f{} ", size.outputs())?;
        }
        let name = Family::NAMES.iter().find(|(family, _)| *family == self.family).map_or("", |(_, name)| name);
        let Tile { pixels, slices, workgroup: [x, y], parts } = self.tile;
        write!(f, "{name} {pixels}x{slices} {x}x{y}")?;
        if parts > 1 {
            write!(f, " /{parts}")?;
        }
        Ok(())
    }
}

impl FromStr for Choice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let pair = |text: &str| {
            let (a, b) = text.split_once('x')?;
            Some([a.parse().ok()?, b.parse().ok()?])
        };
        let read = || {
            let mut words = text.split(' ').peekable();
            let winograd = Winograd::ALL.into_iter().find(|size| words.peek() == Some(&["f2", "f4"][*size as usize]));
            if winograd.is_some() {
                words.next();
            }
            let name = words.next()?;
            let &(family, _) = Family::NAMES.iter().find(|(_, other)| *other == name)?;
            let [pixels, slices] = pair(words.next()?)?;
            let workgroup = pair(words.next()?)?;
            let parts = match words.next() {
                Some(word) => word.strip_prefix('/')?.parse().ok()?,
                None => 1,
            };
            let choice = Choice { winograd, family, tile: Tile { pixels, slices, workgroup, parts } };
            words.next().is_none().then_some(choice)
        };
        read().ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let tile = Tile { pixels: 16, slices: 2, workgroup: [8, 4], parts: 1 };
        let choice = Choice { winograd: None, family: Family::Direct, tile };
        assert_eq!(choice.to_string(), "direct 16x2 8x4");
        for winograd in [None, Some(Winograd::F2), Some(Winograd::F4)] {
            for (family, _) in Family::NAMES {
                for parts in [1, 4] {
                    let choice = Choice { winograd, family, tile: Tile { parts, ..tile } };
                    assert_eq!(choice.to_string().parse(), Ok(choice));
                }
            }
        }
        for text in ["", "direct", "f3 direct 1x1 8x4", "direct 1x1 8x4 4", "direct 1x1 8x4 /4 ", "direct 1 8x4", "x"] {
            assert_eq!(text.parse::<Choice>(), Err(()), "{text}");
        }
    }

    #[test]
    fn only_what_can_run_fits() {
        let fits = |text: &str, conv: &Conv2d| text.parse::<Choice>().unwrap().fits(conv);
        let conv = Conv2d { padding: [1; 4], ..Conv2d::new(64, 24, [3, 3]) };
        for text in [
            "direct 16x2 8x4",
            "direct 1x4 1x32 /16",
            "tiled 8x2 8x8 /2",
            "subgroup 4x4 8x1",
            "f2 direct 8x2 8x4",
            "f2 subgroup 4x2 32x1",
            "f4 tiled 8x1 8x8",
        ] {
            assert!(fits(text, &conv), "{text}");
        }
        // Too large, no power of two, too many parts, more than a workgroup may have, what Winograd's products cannot.
        for text in [
            "direct 32x2 8x4",
            "direct 16x3 8x4",
            "direct 4x2 6x6",
            "direct 4x2 32x16",
            "direct 4x2 4294967295x2",
            "direct 4x2 8x4 /17",
            "direct 4x2 8x4 /0",
            "subgroup 4x4 8x4",
            "subgroup 4x1 8x1",
            "subgroup 4x4 8x1 /2",
            "f2 subgroup 4x4 8x1",
            "f2 direct 8x4 8x4",
            "f2 tiled 8x2 8x8 /2",
            "tiled 4x2 8x8",
        ] {
            assert!(!fits(text, &conv), "{text}");
        }
        let grouped = Conv2d { groups: 4, ..Conv2d::new(64, 48, [3, 3]) };
        assert!(fits("direct 16x1 8x4", &grouped) && !fits("direct 16x2 8x4", &grouped));
        assert!(!fits("f4 direct 16x1 8x4", &grouped));
        let wide = Conv2d::new(64, 96, [1, 1]);
        assert!(fits("cooperative 32x8 32x1", &wide) && !fits("cooperative 32x16 32x1", &wide));
        assert!(!fits("cooperative 16x8 32x1", &wide) && !fits("cooperative 32x4 32x1", &conv));
    }
}
