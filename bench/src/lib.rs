//! What the two programs of this workspace share: cores, child processes that answer questions, the kernel's figures, and the
//! middle of many figures.
//!
//! The comparison is `src/main.rs`, what a single endpoint stands is `src/bin/load/`.

pub mod child;
pub mod cores;
pub mod figures;
pub mod machine;
