//! Tests of `paths`.
