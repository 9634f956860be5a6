//! Gradients of layers, with what only they have: padding that is no zeros, both pairings, kernels as maps.

use crate::network::{Conv2d, DoConv, PaddingMode, Pairing};
use crate::plan::Mode;
use crate::verification::case::Subject;

/// All of them, in every mode.
pub fn all() -> Vec<(String, Subject)> {
    let square = |inputs, outputs, pairing| {
        let doconv = Some(DoConv { d_mul: 9, pairing });
        Conv2d { padding: [1; 4], bias: true, doconv, ..Conv2d::new(inputs, outputs, [3, 3]) }
    };
    let paper = |inputs, outputs| square(inputs, outputs, Pairing::Paper);
    let pointwise = |inputs, outputs| {
        let doconv = Some(DoConv { d_mul: 1, pairing: Pairing::Paper });
        Conv2d { bias: true, doconv, ..Conv2d::new(inputs, outputs, [1, 1]) }
    };
    let layers = [
        ("3x3 5-6", paper(5, 6)),
        ("3x3 8-16 torch", square(8, 16, Pairing::Torch)),
        ("3x3 stride 2, reflected", Conv2d { stride: [2, 2], padding_mode: PaddingMode::Reflect, ..paper(4, 8) }),
        ("3x3 circular", Conv2d { padding_mode: PaddingMode::Circular, ..paper(3, 5) }),
        (
            "3x3 replicated, dilation 2",
            Conv2d { dilation: [2, 2], padding: [2; 4], padding_mode: PaddingMode::Replicate, ..paper(4, 4) },
        ),
        ("3x3 depthwise", Conv2d { groups: 6, ..paper(6, 6) }),
        ("3x3 6-9 in 3 groups", Conv2d { groups: 3, ..paper(6, 9) }),
        ("3x3 16-32 in 2 groups, stride 1x2", Conv2d { groups: 2, stride: [1, 2], ..paper(16, 32) }),
        ("3x3 12-8 in 4 groups", Conv2d { groups: 4, ..paper(12, 8) }),
        ("3x3 32-48", paper(32, 48)),
        ("1x1 32-16", pointwise(32, 16)),
        ("1x1 32-48", pointwise(32, 48)),
        ("1x1 12-20", pointwise(12, 20)),
    ];
    let mut subjects = vec![];
    for (what, conv) in layers {
        for mode in Mode::ALL {
            let input = [2, conv.in_channels, 7, 8];
            let what = format!("gradients of {what}, mode {}", mode.name());
            subjects.push((what, Subject::Layer { conv: conv.clone(), mode, input, backward: true }));
        }
    }
    // Of depthwise layers every number of taps up to nine is a shader of its own, and so is that of outputs, one or more.
    for kernel in [[1, 1], [1, 2], [3, 1], [2, 2], [1, 5], [2, 3], [7, 1], [2, 4]] {
        for outputs in [4, 8] {
            let [rows, columns] = kernel;
            let doconv = Some(DoConv { d_mul: rows * columns, pairing: Pairing::Paper });
            let conv = Conv2d { groups: 4, doconv, ..Conv2d::new(4, outputs, kernel) };
            let what = format!("gradients of {rows}x{columns} depthwise 4-{outputs}, mode kernel");
            let input = [2, 4, 7, 8];
            subjects.push((what, Subject::Layer { conv, mode: Mode::Kernel, input, backward: true }));
        }
    }
    subjects
}

/// A layer forward, with its kernel as a map: all that there is of layers in half precision.
pub fn forward() -> (String, Subject) {
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let conv = Conv2d { padding: [1; 4], bias: true, doconv, ..Conv2d::new(5, 8, [3, 3]) };
    let subject = Subject::Layer { conv, mode: Mode::Folded, input: [2, 5, 7, 8], backward: false };
    ("layer 3x3 5-8 with its kernel".into(), subject)
}
