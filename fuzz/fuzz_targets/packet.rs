//! libFuzzer's way into the target `packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::packet(data));
