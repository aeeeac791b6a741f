//! A simulated network of datagrams under virtual time.
