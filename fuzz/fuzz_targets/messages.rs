//! libFuzzer's way into the target `messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::messages(data));
