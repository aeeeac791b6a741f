//! libFuzzer's way into the target `link_target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::link_target(data));
