//! libFuzzer's way into the target `key_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::key_file(data));
