//! Model files from strangers: an error or a model that can be folded and written again, never a panic.
#![no_main]

use doconv::{Dtype, Model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::from_bytes("fuzz", bytes)
        && let Ok(folded) = model.fold().and_then(|model| model.fold_batch_norms())
    {
        let written = folded.to_bytes(Dtype::F32).expect("what was read can be written");
        Model::from_bytes("again", &written).expect("what was written can be read");
    }
});
