//! libFuzzer's way into the target `chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::chat(data));
