//! libFuzzer's way into the target `introduction`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::introduction(data));
