//! What a program may take of a device.

#[cfg(training)]
use crate::Error;
use crate::gpu::device::Device;
use crate::gpu::program::Program;
use crate::gpu::shader::{Dispatch, Scalar, map_len};
use crate::plan::{Plan, ValueId};
use crate::{Precision, Result};

/// How many images at a time keep every map and the results together within a device's limits: at least one.
pub(in crate::gpu) fn most_images(device: &Device, plan: &Plan, program: &Program, precision: Precision) -> usize {
    let storage = Scalar::stored_in(precision);
    let bytes = |value: ValueId| (storage.bytes() * map_len(plan.value(value).shape)) as u64;
    let maps = (0..plan.values().len()).map(ValueId).filter(|value| !program.unwritten.contains(value)).map(bytes);
    let results: u64 = plan.outputs().iter().map(|&value| bytes(value)).sum();
    let largest = maps.chain([results, 1]).max().unwrap_or(1).max(1);
    (device.largest_binding() / largest).max(1) as usize
}

/// Fails if what a program needs is beyond a device's limits.
///
/// # Errors
/// [`Error::Limit`].
pub(in crate::gpu) fn check_fits(device: &Device, plan: &Plan, program: &Program, precision: Precision) -> Result<()> {
    #[cfg(training)]
    check_arenas(device, plan)?;
    let storage = Scalar::stored_in(precision);
    let bytes = |value: ValueId| (storage.bytes() * map_len(plan.value(value).batched(program.batch))) as u64;
    for (index, description) in plan.values().iter().enumerate() {
        let value = ValueId(index);
        if !program.unwritten.contains(&value) {
            device.check_binding(&format!("feature map `{}`", description.name), bytes(value))?;
        }
    }
    device.check_binding("the results together", plan.outputs().iter().map(|&value| bytes(value)).sum())?;
    for bytes in Dispatch::scratch_bytes(&program.dispatches) {
        device.check_binding("what a layer leaves for its next dispatch", bytes)?;
    }
    Ok(())
}

/// What a plan keeps between runs must fit a binding, list by list.
#[cfg(training)]
fn check_arenas(device: &Device, plan: &Plan) -> Result<()> {
    let memory = plan.memory(1, map_len);
    for arena in plan.arenas().iter().filter(|arena| !arena.is_empty()) {
        let bytes = 4 * memory.sizes[memory.buffer_of(arena[0])] as u64;
        device.check_binding("all parameters together", bytes).map_err(|error| match error {
            Error::Limit { what, needed, limit, limit_name, .. } => {
                let way_out = "freeze some of them, or use `cpu` as the adapter";
                Error::Limit { what, needed, limit, limit_name, way_out }
            }
            other => other,
        })?;
    }
    Ok(())
}
