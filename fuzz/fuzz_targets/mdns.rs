//! libFuzzer's way into the target `mdns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::mdns(data));
