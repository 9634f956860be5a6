//! Between NCHW, which callers use, and NHWC, which the kernels use.

use super::parallel;

/// Writes the `rows × columns` matrices of `input` transposed to `output`.
///
/// NCHW to NHWC is `rows = C`, `columns = H·W`, and NHWC to NCHW the other way round.
pub(super) fn transpose(input: &[f32], output: &mut [f32], rows: usize, columns: usize) {
    /// Columns transposed together: a cache line of each row.
    const BLOCK: usize = 16;
    if rows == 1 || columns == 1 {
        output.copy_from_slice(input);
        return;
    }
    // Tasks of whole blocks of one matrix, of some 16k elements.
    let matrix = rows * columns;
    let chunk = (16384 / rows).max(1).next_multiple_of(BLOCK).min(columns.next_multiple_of(BLOCK));
    let per_matrix = columns.div_ceil(chunk);
    let output = parallel::SharedMut::new(output);
    parallel::for_each(input.len() / matrix * per_matrix, |task| {
        let (index, start) = (task / per_matrix, task % per_matrix * chunk);
        let end = (start + chunk).min(columns);
        let input = &input[index * matrix..][..matrix];
        let len = (end - start) * rows;
        // SAFETY: tasks have different columns, which are disjoint runs of the transposed matrix.
        let output = unsafe { std::slice::from_raw_parts_mut(output.at(index * matrix + start * rows, len), len) };
        for block in (start..end).step_by(BLOCK) {
            let stop = (block + BLOCK).min(end);
            for row in 0..rows {
                for (column, &value) in (block..stop).zip(&input[row * columns + block..row * columns + stop]) {
                    output[(column - start) * rows + row] = value;
                }
            }
        }
    });
}
