//! libFuzzer's way into the target `boxes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::boxes(data));
