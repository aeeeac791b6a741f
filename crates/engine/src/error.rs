//! What can go wrong with an engine and its streams.

use thiserror::Error;

/// Why an engine died.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The peer sent what no honest engine sends.
    #[error("the peer broke the rules of the stream protocol: {0}")]
    PeerFault(String),
    /// The peer has ended its engine.
    #[error("the peer has ended its streams")]
    PeerClosed,
    /// The two halves of the local handshake did not come together: a bug of ours.
    #[error("the engine could not be started: {0}")]
    Start(&'static str),
}

/// Why bytes cannot be read from a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing to read now; [`crate::Event::Readable`] follows.
    #[error("nothing to read yet")]
    Blocked,
    /// The peer has given the stream up, with its code.
    #[error("the peer reset the stream with code {0}")]
    Reset(u32),
    /// The stream was read to its end, stopped, or never existed.
    #[error("the stream is closed")]
    Closed,
}

/// Why bytes cannot be written to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No room now; [`crate::Event::Writable`] follows.
    #[error("no room in the stream yet")]
    Blocked,
    /// The peer does not want the rest, with its code.
    #[error("the peer stopped the stream with code {0}")]
    Stopped(u32),
    /// The stream was finished, reset, or never existed.
    #[error("the stream is closed")]
    Closed,
}

/// The stream was finished, reset, stopped, or never existed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stream is closed")]
pub struct StreamError;
