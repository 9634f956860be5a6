//! A group of executors of one plan that split the work of every convolution without shared memory.
//!
//! In a browser, a module without atomics cannot share its memory. So every worker is a whole instance with the same model,
//! and runs the same steps on the same inputs. Of a convolution each worker computes a part and receives the other parts from
//! the others. All other steps are computed by every worker, which is faster than exchanging their results. So every worker
//! has every map at every step, and can continue alone when the others are gone.

use std::ops::Range;

use super::parallel;

/// A worker of a group, and how it exchanges data with the others.
pub(crate) trait WorkerGroup: Send + Sync {
    /// The number of workers.
    fn members(&self) -> usize;

    /// The index of this worker.
    fn index(&self) -> usize;

    /// Sends the inputs of a run to the others, if this worker leads the group. `false` if this worker has to run alone.
    fn begin(&self, batch: usize, inputs: &[&[f32]]) -> bool;

    /// Sends the own part of a map to the others and receives theirs. On `false` the others are gone, and only the own part of
    /// the map is valid.
    fn exchange(&self, map: &mut [f32], own: Range<usize>) -> bool;
}

/// Computes `count` items that lie in a map one after the other, item `i` from element `start(i)` on: all of them, or with a
/// worker group the part of this worker.
pub(super) fn split_work(
    workers: Option<&dyn WorkerGroup>,
    map: &mut [f32],
    count: usize,
    start: impl Fn(usize) -> usize,
    compute: impl Fn(Range<usize>, &mut [f32]),
) {
    let Some(workers) = workers else { return compute(0..count, map) };
    let own = parallel::part(count, workers.index(), workers.members());
    compute(own.clone(), map);
    if !workers.exchange(&mut map[..start(count)], start(own.start)..start(own.end)) {
        compute(0..own.start, map);
        compute(own.end..count, map);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, Mutex};

    use super::*;
    use crate::cpu::Executor;
    use crate::cpu::tests::{plan_of, random, random_inputs, value};
    use crate::network::{Activation, Conv2d};
    use crate::plan::{Conv, Kernel, KernelId, KernelSource, Plan, Step, ValueId};

    /// A dense, a depthwise and a pointwise convolution, and one over the whole map, as linear layers are.
    fn plan() -> Plan {
        let convs = [
            (Conv2d { padding: [1; 4], ..Conv2d::new(5, 20, [3, 3]) }, Some(Activation::Relu6), [11, 7]),
            (Conv2d { padding: [1; 4], groups: 20, stride: [2, 2], ..Conv2d::new(20, 20, [3, 3]) }, None, [6, 4]),
            (Conv2d::new(20, 33, [1, 1]), Some(Activation::Silu), [6, 4]),
            (Conv2d::new(33, 50, [6, 4]), None, [1, 1]),
        ];
        let mut values = vec![value("input", [5, 11, 7])];
        let (mut kernels, mut steps) = (vec![], vec![]);
        for (index, (conv, activation, [height, width])) in convs.into_iter().enumerate() {
            let name = format!("conv{index}");
            values.push(value(&name, [conv.out_channels, height, width]));
            let source = KernelSource::Plain(std::sync::Arc::new(random(index, conv.kernel_shape().iter().product())));
            let bias = random(index + 10, conv.out_channels);
            kernels.push(Kernel { name: name.clone(), conv: conv.clone(), source, bias });
            let (kernel, input, output) = (KernelId(index), ValueId(index), ValueId(index + 1));
            steps.push(Step::Conv(Conv { name, conv, kernel, input, residual: None, activation, output }));
        }
        Plan { inputs: vec![ValueId(0)], ..plan_of(values, kernels, steps) }
    }

    fn run(batch: usize, workers: Option<Member>) -> Vec<Vec<f32>> {
        let plan = plan();
        let inputs = random_inputs(&plan, batch);
        let mut executor = Executor::new(&plan).unwrap();
        if let Some(workers) = workers {
            executor.join(workers);
        }
        let first = executor.run(batch, &[&inputs[0]]).unwrap();
        assert_eq!(executor.run(batch, &[&inputs[0]]).unwrap(), first);
        first
    }

    /// What the threads of the test share: no more than instances of a module do.
    struct Table {
        barrier: Barrier,
        map: Mutex<Vec<f32>>,
        elements: AtomicUsize,
    }

    struct Member {
        table: Arc<Table>,
        members: usize,
        index: usize,
        /// After so many exchanges there are no others any more.
        patience: AtomicUsize,
    }

    impl WorkerGroup for Member {
        fn members(&self) -> usize {
            self.members
        }

        fn index(&self) -> usize {
            self.index
        }

        fn begin(&self, _: usize, _: &[&[f32]]) -> bool {
            true
        }

        fn exchange(&self, map: &mut [f32], own: Range<usize>) -> bool {
            let is_own = |at: usize| own.contains(&at);
            if self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                map.iter_mut().enumerate().filter(|&(at, _)| !is_own(at)).for_each(|(_, value)| *value = f32::NAN);
                return false;
            }
            {
                let mut shared = self.table.map.lock().unwrap();
                let len = shared.len().max(map.len());
                shared.resize(len, f32::NAN);
                shared[own.clone()].copy_from_slice(&map[own.clone()]);
            }
            self.table.elements.fetch_add(own.len(), Ordering::Relaxed);
            self.table.barrier.wait();
            {
                let (shared, len) = (self.table.map.lock().unwrap(), map.len());
                map[..own.start].copy_from_slice(&shared[..own.start]);
                map[own.end..].copy_from_slice(&shared[own.end..len]);
            }
            self.table.barrier.wait();
            true
        }
    }

    fn group(members: usize, patience: usize) -> Vec<Member> {
        let (barrier, map) = (Barrier::new(members), Mutex::default());
        let table = Arc::new(Table { barrier, map, elements: AtomicUsize::new(0) });
        let member = |index| Member { table: table.clone(), members, index, patience: AtomicUsize::new(patience) };
        (0..members).map(member).collect()
    }

    #[test]
    fn a_group_computes_the_same_bits_and_everything_once() {
        for batch in [1, 3] {
            let expected = run(batch, None);
            for members in [1, 2, 3, 8] {
                let workers = group(members, usize::MAX);
                let table = workers[0].table.clone();
                // Members wait for each other, which threads of one pool must not.
                let alone = || rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                let run = |member| alone().install(|| run(batch, Some(member)));
                std::thread::scope(|scope| {
                    let runs: Vec<_> = workers.into_iter().map(|member| scope.spawn(move || run(member))).collect();
                    for run in runs {
                        assert_eq!(run.join().unwrap(), expected, "{members} members, batch {batch}");
                    }
                });
                let outputs: usize = [20 * 77, 20 * 24, 33 * 24, 50].iter().sum();
                assert_eq!(table.elements.load(Ordering::Relaxed), 2 * batch * outputs);
            }
        }
    }

    #[test]
    fn a_worker_continues_alone() {
        let expected = run(2, None);
        for index in 0..3 {
            let mut member = group(3, 0).swap_remove(index);
            // Nobody else is at its barrier.
            member.table = Arc::new(Table { barrier: Barrier::new(1), map: Mutex::default(), elements: 0.into() });
            assert_eq!(run(2, Some(member)), expected, "member {index}");
        }
    }
}
