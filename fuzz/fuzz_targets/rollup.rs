//! libFuzzer's way into the target `rollup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::rollup(data));
