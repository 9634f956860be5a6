//! The one place that knows whether there are threads. (Those without a memory in common are a worker group: `worker_group.rs`.)

use std::ops::Range;

/// How many tasks can run at the same time.
pub fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    1
}

/// Into how many tasks work is cut: several per thread even out what else the machine does.
pub(super) fn tasks() -> usize {
    const PER_THREAD: usize = 4;
    match threads() {
        1 => 1,
        threads => threads * PER_THREAD,
    }
}

/// Part `index` of `count` things in `parts` nearly equal parts.
pub(super) fn part(count: usize, index: usize, parts: usize) -> Range<usize> {
    index * count / parts..(index + 1) * count / parts
}

/// Runs `work` on a thread of the pool, from where handing out tasks is cheap: a caller from outside would go to sleep
/// and be woken for every step.
pub(super) fn enter<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::scope(|_| work());
    #[cfg(target_arch = "wasm32")]
    work()
}

/// Runs `task(0)` to `task(count - 1)`, in any order, and returns when all are done.
pub(super) fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    #[cfg(not(target_arch = "wasm32"))]
    if count > 1 && threads() > 1 {
        use rayon::prelude::*;
        (0..count).into_par_iter().with_max_len(1).for_each(task);
        return;
    }
    (0..count).for_each(task);
}

/// Runs `task(index, chunk)` for consecutive chunks of `values`; the last may be shorter.
pub(super) fn for_each_chunk(values: &mut [f32], chunk: usize, task: impl Fn(usize, &mut [f32]) + Send + Sync) {
    #[cfg(not(target_arch = "wasm32"))]
    if values.len() > chunk && threads() > 1 {
        use rayon::prelude::*;
        values.par_chunks_mut(chunk).enumerate().for_each(|(index, chunk)| task(index, chunk));
        return;
    }
    values.chunks_mut(chunk).enumerate().for_each(|(index, chunk)| task(index, chunk));
}

/// A map that several tasks write at the same time, each its own elements.
#[derive(Clone, Copy)]
pub(super) struct SharedMut<'a> {
    start: *mut f32,
    len: usize,
    lifetime: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a `&mut [f32]`, whose users promise (see `at`) not to touch each other's elements.
unsafe impl Send for SharedMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedMut<'_> {}

impl<'a> SharedMut<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), lifetime: std::marker::PhantomData }
    }

    /// A pointer to `len` elements from `offset` on.
    ///
    /// # Safety
    /// No two tasks may access the same element unless all of them only read it.
    ///
    /// # Panics
    /// If the elements are not all inside the map.
    #[inline]
    pub(super) unsafe fn at(self, offset: usize, len: usize) -> *mut f32 {
        assert!(offset <= self.len && len <= self.len - offset, "elements {offset}+{len} of {}", self.len);
        // SAFETY: just checked.
        unsafe { self.start.add(offset) }
    }
}
