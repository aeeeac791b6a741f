//! libFuzzer's way into the target `quic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemesh_fuzz::quic(data));
