//! How long starting an engine and moving bulk data through two of them takes.
fn main() {}
