//! Tests of `aead`.
