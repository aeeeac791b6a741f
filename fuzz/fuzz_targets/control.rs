//! libFuzzer's way into the target `control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::control(data));
