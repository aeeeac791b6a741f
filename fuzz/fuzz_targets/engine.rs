//! libFuzzer's way into the target `engine`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::engine(data));
