//! The telemesh program.
fn main() {}
