//! The stream channel: bytes or messages between two endpoints.
