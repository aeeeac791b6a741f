//! libFuzzer's way into the target `frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::frame(data));
