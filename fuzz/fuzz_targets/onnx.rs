//! ONNX files from strangers: an error or a model that can be folded and written, never a panic.
#![no_main]

use std::collections::BTreeMap;

use doconv::Dtype;
use doconv::formats::onnx::File;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = File::from_bytes("fuzz", bytes)
        && let Ok(imported) = file.import(&BTreeMap::new())
        && let Ok(folded) = imported.model.fold().and_then(|model| model.fold_batch_norms())
        // What ONNX cannot express is refused.
        && let Ok(written) = folded.to_onnx(Dtype::F32)
    {
        File::from_bytes("again", &written).expect("what was written can be read");
    }
});
