//! Every convolution kernel, in one table.

use super::kernel::ConvKernel;
#[cfg(not(target_arch = "wasm32"))]
use super::matrix;
use super::{depthwise, depthwise_tiled, direct, grouped, subgroup, tiled};
use crate::gpu::policy::KernelConfig;

/// The kernels that run convolutions and the products of Winograd convolutions, the most special first.
pub static KERNELS: &[&dyn ConvKernel] = &[
    #[cfg(not(target_arch = "wasm32"))]
    &matrix::Matrix,
    &depthwise_tiled::DepthwiseTiled,
    &depthwise::Depthwise,
    &subgroup::Subgroup,
    &tiled::Tiled,
    &direct::Direct,
    &grouped::Grouped,
];

impl std::str::FromStr for KernelConfig {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::parse(text, KERNELS.iter().map(|kernel| kernel.name())).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::kernels::conv::can_run;
    use crate::gpu::policy::Tile;
    use crate::network::Conv2d;
    use crate::winograd::Winograd;

    #[test]
    fn what_is_written_is_read() {
        let tile = Tile { pixels: 16, slices: 2, workgroup: [8, 4], parts: 1 };
        let config = KernelConfig { winograd: None, kernel: "direct", tile };
        assert_eq!(config.to_string(), "direct 16x2 8x4");
        for winograd in [None, Some(Winograd::F2), Some(Winograd::F4)] {
            for kernel in KERNELS.iter().map(|kernel| kernel.name()) {
                for parts in [1, 4] {
                    let config = KernelConfig { winograd, kernel, tile: Tile { parts, ..tile } };
                    assert_eq!(config.to_string().parse(), Ok(config));
                }
            }
        }
        for text in ["", "direct", "f3 direct 1x1 8x4", "direct 1x1 8x4 4", "direct 1x1 8x4 /4 ", "direct 1 8x4", "x"] {
            assert_eq!(text.parse::<KernelConfig>(), Err(()), "{text}");
        }
    }

    #[test]
    fn only_what_can_run_is_accepted() {
        let accepts = |text: &str, conv: &Conv2d| {
            let config: KernelConfig = text.parse().unwrap();
            can_run(&config, conv, [8, 8])
        };
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
            assert!(accepts(text, &conv), "{text}");
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
            "f2 grouped 1x1 64x1",
            "f2 matrix 32x8 32x1",
            "tiled 4x2 8x8",
        ] {
            assert!(!accepts(text, &conv), "{text}");
        }
        let grouped = Conv2d { groups: 4, ..Conv2d::new(64, 48, [3, 3]) };
        assert!(accepts("direct 16x1 8x4", &grouped) && !accepts("direct 16x2 8x4", &grouped));
        assert!(!accepts("f4 direct 16x1 8x4", &grouped));
        let wide = Conv2d::new(64, 96, [1, 1]);
        assert!(accepts("matrix 32x8 32x1", &wide) && !accepts("matrix 32x16 32x1", &wide));
        assert!(!accepts("matrix 16x8 32x1", &wide) && !accepts("matrix 32x4 32x1", &conv));
    }
}
