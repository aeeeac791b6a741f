//! libFuzzer's way into the target `hello`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::hello(data));
