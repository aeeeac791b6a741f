//! The small traits that a transport and a discovery implement.
