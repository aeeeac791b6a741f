//! libFuzzer's way into the target `files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::files(data));
