//! libFuzzer's way into the target `router`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::router(data));
