//! Reliable streams inside a link, without I/O.
