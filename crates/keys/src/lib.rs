//! Key pairs of an endpoint, the key file, and sealing a message for somebody.
