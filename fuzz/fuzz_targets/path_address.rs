//! libFuzzer's way into the target `path_address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::path_address(data));
