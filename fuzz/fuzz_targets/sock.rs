//! libFuzzer's way into the target `sock`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::sock(data));
