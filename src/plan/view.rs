//! Values that are read in another order.

use crate::network::{Shape, Slice};

/// Where every element of a map comes from in another one, within one element of a batch: both sides in NCHW order.
///
/// Element `[n, c, y, x]` of the result is element `offset + Σ axis(index)` of the source, counted from the start of
/// the same element of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The source of the first element.
    pub offset: usize,
    /// Items, channels, rows, columns.
    pub axes: [AxisView; 4],
}

/// The way along one axis: index `i` lies at `i div inner · outer_stride + i mod inner · inner_stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisView {
    /// Indices after which the outer stride is due; 1 where there is only one stride.
    pub inner: usize,
    /// Distance of elements `inner` indices apart.
    pub outer_stride: isize,
    /// Distance of neighbours.
    pub inner_stride: isize,
}

impl AxisView {
    /// An axis with one stride.
    pub fn new(stride: isize) -> Self {
        Self { inner: 1, outer_stride: stride, inner_stride: 0 }
    }

    /// How far index `index` is from index 0.
    pub fn distance(&self, index: usize) -> isize {
        (index / self.inner) as isize * self.outer_stride + (index % self.inner) as isize * self.inner_stride
    }
}

impl View {
    /// The flat index that element `index` of the result comes from.
    pub fn source(&self, index: [usize; 4]) -> usize {
        let distance: isize = self.axes.iter().zip(index).map(|(axis, index)| axis.distance(index)).sum();
        self.offset.wrapping_add_signed(distance)
    }

    /// The same values in the same order, as a map of another shape.
    pub(crate) fn reshape(to: Shape) -> Self {
        Self { offset: 0, axes: strides(to).map(AxisView::new) }
    }

    /// Axis `i` of the result is axis `axes[i]` of the source.
    pub(super) fn transpose(from: Shape, axes: [usize; 4]) -> Self {
        let strides = strides(from);
        Self { offset: 0, axes: axes.map(|axis| AxisView::new(strides[axis])) }
    }

    /// Part of a map.
    pub(super) fn slice(from: Shape, slice: &Slice) -> Self {
        let strides = strides(from);
        let offset = (0..4).map(|axis| slice.start[axis] * strides[axis].unsigned_abs()).sum();
        // The only item of a network is every one of a batch in training.
        let step = |axis: usize| if slice.count[axis] == 1 { 1 } else { slice.step[axis] };
        Self { offset, axes: std::array::from_fn(|axis| AxisView::new(strides[axis] * step(axis))) }
    }

    /// `parts[0] × parts[1]` neighbouring channels of the source become the pixels of a block: channel
    /// `c·p + r·parts[1] + s`, with `p` the number of parts, holds row `r` and column `s` of the blocks of channel `c`.
    /// What is beyond the result's height and width is left out.
    pub(super) fn interleave(from: Shape, parts: [usize; 2]) -> Self {
        let [item, channel, row, column] = strides(from);
        let all = (parts[0] * parts[1]) as isize;
        let rows = AxisView { inner: parts[0], outer_stride: row, inner_stride: channel * parts[1] as isize };
        let columns = AxisView { inner: parts[1], outer_stride: column, inner_stride: channel };
        Self { offset: 0, axes: [AxisView::new(item), AxisView::new(channel * all), rows, columns] }
    }
}

/// Distances of neighbours along every axis of a map in NCHW order.
fn strides([_, c, h, w]: Shape) -> [isize; 4] {
    [(c * h * w) as isize, (h * w) as isize, w as isize, 1]
}
