//! What the two programs of this workspace share: cores, the kernel's figures, and the middle of many figures.
//!
//! The comparison is `src/main.rs`, what a single endpoint stands is `src/bin/load/`.

pub mod cores;
pub mod figures;
pub mod machine;
