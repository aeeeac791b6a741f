//! One encrypted link between two endpoints: gate, handshake, sessions, packets and paths, without I/O.
