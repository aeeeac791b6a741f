//! Channels as people use them: streams and datagrams over a link.
