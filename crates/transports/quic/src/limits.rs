//! Every limit and every time of the transport, each with its reason.

use std::time::Duration;

/// Connections that others may have with us at one time, unless configured otherwise. Each holds some tens of KiB.
pub const MAX_INBOUND: usize = 4_096;

/// Of those, how many may come from one IPv4 address or one IPv6 /64, unless configured otherwise. Many endpoints may be
/// behind one NAT.
pub const MAX_INBOUND_PER_SOURCE: usize = 64;

/// Connections that we may have with others at one time, those being set up included.
pub const MAX_OUTBOUND: usize = 4_096;

/// Addresses with a connection or with the memory of a failed dial. Beyond, failures are forgotten.
pub(crate) const MAX_SLOTS: usize = 4 * MAX_OUTBOUND;

/// Addresses for which keys are remembered; which one is forgotten first is left to chance.
pub const MAX_EXPECTED: usize = 65_536;

/// Endpoints whose keys are remembered for one address. Anybody may claim to be at any address, so one claim must not
/// displace another; they are tried in turn.
pub const MAX_KEYS_PER_ADDRESS: usize = 4;

/// A dial that takes longer has failed: by then there were three tries of QUIC's, the last one three seconds ago, and a
/// listener that is there answers the first. The fourth would come after seven seconds.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(6);

/// Datagrams of a dial that nobody answers: QUIC's first try is one, each further one two (RFC 9002, section 6.2.4), and then
/// quinn takes its leave. `telemesh-link` counts so many for it in its budget of probes.
pub const DIAL_DATAGRAMS: usize = 6;

/// After a dial that nobody answered the address is left alone for so long, and for twice as long after each further one:
/// it may be a victim that somebody told us, and each dial is [`DIAL_DATAGRAMS`].
pub(crate) const REDIAL_FIRST: Duration = Duration::from_secs(2);

/// See [`REDIAL_FIRST`].
pub(crate) const REDIAL_MAX: Duration = Duration::from_secs(60);

/// Handshakes of others that may be under way at one time; from one source as many as it may have connections. Sources may be
/// forged until a handshake is through, so these places are not those of connections.
pub const MAX_HANDSHAKES: usize = 2_048;

/// A handshake of somebody else has failed after so long, so that a forged one makes room soon. Real ones take a round trip,
/// and have time for one loss and its repair after a second.
pub(crate) const ACCEPT_LIMIT: Duration = Duration::from_secs(2);

/// An inbound connection through which we have sent nothing by then is closed: nobody here trusts who is at its other end,
/// or nothing came from there. An answer takes one write of the store.
pub(crate) const UNUSED_LIMIT: Duration = Duration::from_secs(10);

/// A connection without a packet for so long is closed, and made anew when it is needed. Links that use one send something
/// every 25 s.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A connection of ours on which nothing has been heard for so long after something was sent is made anew: the listener
/// may have been started again, and it tells nobody that it does not know a connection.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(4);

/// How often a connection's counters are looked at for that.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Bytes that wait in a connection for congestion control: two batches of a link. More would only be delay.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;

/// Bytes of received datagrams that wait in a connection for us.
pub(crate) const RECEIVE_BUFFER: usize = 256 * 1024;

/// Runs that wait for the mesh, all connections together.
pub(crate) const RECEIVE_QUEUE: usize = 64;

/// Longest run handed to the mesh, in bytes.
pub(crate) const MAX_RUN: usize = 65_536;

/// Packets that one call takes. They go to the connection one by one, and this is what a link has in a batch.
pub(crate) const SEND_SEGMENTS: usize = 64;

/// Connections that have begun and that we have not looked at yet; dials beyond are ignored.
pub(crate) const MAX_WAITING_DIALS: usize = 256;

/// Bytes of early packets held for each of those, and for all of them.
pub(crate) const WAITING_DIAL_BYTES: u64 = 8 * 1_500;

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// See [`MAX_INBOUND`].
    pub max_inbound: usize,
    /// See [`MAX_INBOUND_PER_SOURCE`].
    pub max_inbound_per_source: usize,
}

impl Config {
    /// The same for handshakes, see [`MAX_HANDSHAKES`].
    pub(crate) fn of_handshakes(self) -> Self {
        Self { max_inbound: MAX_HANDSHAKES, ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { max_inbound: MAX_INBOUND, max_inbound_per_source: MAX_INBOUND_PER_SOURCE }
    }
}
