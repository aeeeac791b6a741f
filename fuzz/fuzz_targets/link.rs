//! libFuzzer's way into the target `link`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::link(data));
