//! libFuzzer's way into the target `answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::answer(data));
