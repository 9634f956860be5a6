//! The suite of random problems on every adapter of this machine, the CPU path included.
//!
//! Fails on a machine without a GPU adapter, real or software, unless `DOCONV_SKIP_GPU_TESTS=1` declares that.
// The session API is not there yet; take this line away, and the one in `common/mod.rs`, when it is.
#![cfg(any())]

mod common;

use common::runners::SessionRunner;
use common::suite::check_all;
use doconv::Adapter;

#[test]
fn every_adapter_computes_what_the_reference_says() {
    let adapters = pollster::block_on(Adapter::list());
    assert!(!adapters.is_empty(), "the CPU path is always there");
    if adapters.len() == 1 {
        let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
        assert!(skipped, "no GPU adapter was found; install one, or set DOCONV_SKIP_GPU_TESTS=1 to do without");
        println!("skipped: GPU adapters, because DOCONV_SKIP_GPU_TESTS=1 and there is none");
    }
    for info in adapters {
        println!("{}", info.name);
        let mut runner = SessionRunner::open(&info.name).unwrap_or_else(|error| panic!("{}: {error}", info.name));
        check_all(&mut runner);
    }
}
