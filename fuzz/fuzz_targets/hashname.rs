//! libFuzzer's way into the target `hashname`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::hashname(data));
