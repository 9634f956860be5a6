//! Image files from strangers: an error or pixels, never a panic.
#![no_main]

use doconv::Image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = Image::decode("fuzz", bytes) {
        assert_eq!(image.rgb().len(), image.width() * image.height() * 3);
    }
});
