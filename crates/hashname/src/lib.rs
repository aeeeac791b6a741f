//! Hashnames: the fingerprint of an endpoint's public keys.
