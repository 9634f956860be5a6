//! Independent checks at once.

use std::sync::Mutex;

/// Does the same with each of them, as many at a time as there are processors: a software adapter spends most of a test with
/// compiling shaders, on one of them. Panics if it does with any.
pub fn each_in_parallel<T: Send>(items: Vec<T>, action: impl Fn(T) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let left = Mutex::new(items.into_iter());
    let next = || left.lock().unwrap().next();
    let work = || std::iter::from_fn(next).for_each(&action);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
}
