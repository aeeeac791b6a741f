//! libFuzzer's way into the target `sealed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::sealed(data));
