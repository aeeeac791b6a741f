//! libFuzzer's way into the target `open`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::open(data));
