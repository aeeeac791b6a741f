//! libFuzzer's way into the target `thtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::thtp(data));
