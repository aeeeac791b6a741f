//! libFuzzer's way into the target `stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::stream(data));
