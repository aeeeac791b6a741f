//! Starting an engine: the whole handshake in memory, of which each end keeps its own half.
//!
//! Both ends run the same exchange from the same [`Seed`]: same connection ids, same random draws,
//! same packets in the same order, at the same virtual times. Nothing of it may depend on anything
//! that the ends do not share, above all not on the round-trip time that each has measured: packets
//! travel in no time at all, and only the acknowledgement delay, a constant, moves the clock. When
//! both halves are quiet, the peer's half is dropped, and the other is told to forget what it learnt
//! about this unreal path.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, ConnectionId, ConnectionIdGenerator, DatagramEvent, Endpoint,
    EndpointConfig, Event, NoneTokenLog, NoneTokenStore, ServerConfig, ValidationTokenConfig,
};
use sha2::{Digest, Sha256};

use crate::config::{Config, MIN_PACKET};
use crate::crypto::{NoTokens, PassThrough, ResetKey, TAG};
use crate::trace::Trace;
use crate::{EngineError, Seed};

/// The peer's address as the state machine knows it: links have paths, engines do not.
pub(crate) const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 1);

/// Bytes of a connection id: enough to tell the packets of one engine from those of an earlier one.
const CONNECTION_ID: usize = 4;

/// Longer than the state machine's acknowledgement delay (25 ms) in virtual time.
const VIRTUAL_PAST: Duration = Duration::from_millis(100);

/// More exchanges than a lossless handshake needs; beyond it something is wrong with us.
const MAX_ROUNDS: usize = 64;

/// One half: a state machine with the endpoint that dispatches to its single connection.
pub(crate) struct Half {
    pub(crate) endpoint: Endpoint,
    pub(crate) handle: ConnectionHandle,
    pub(crate) connection: Connection,
}

/// Runs the handshake of both sides and returns the half of this end, ready for data at `now`.
pub(crate) fn start(seed: &Seed, config: &Config, now: Instant, trace: Trace) -> Result<Half, EngineError> {
    let mut clock = now.checked_sub(VIRTUAL_PAST).unwrap_or(now);
    // Both halves are configured alike; only ours, the one that stays, is traced.
    let mut ours = config.transport();
    trace.apply(&mut ours, clock);
    let (ours, theirs) = (Arc::new(ours), Arc::new(config.transport()));
    let (for_client, for_server) = if seed.is_client() { (ours, theirs) } else { (theirs, ours) };
    let crypto = Arc::new(PassThrough);

    let mut server_config = ServerConfig::new(crypto.clone(), Arc::new(NoTokens));
    // Said explicitly: with the feature `bloom`, which another crate of a program may switch on, tokens are the default.
    let mut no_tokens = ValidationTokenConfig::default();
    no_tokens.sent(0).log(Arc::new(NoneTokenLog));
    server_config.transport_config(for_server).migration(false).validation_token_config(no_tokens);
    let mut client_config = ClientConfig::new(crypto);
    let first_id = ConnectionId::new(&seed.derive("first destination")[..8]);
    client_config
        .transport_config(for_client)
        .token_store(Arc::new(NoneTokenStore))
        .initial_dst_cid_provider(Arc::new(move || first_id));

    let client_endpoint = endpoint(seed, "client", None);
    let mut server_endpoint = endpoint(seed, "server", Some(Arc::new(server_config)));
    let mut client = {
        let mut endpoint = client_endpoint;
        let (handle, connection) = endpoint
            .connect(clock, client_config, PEER, "telemesh")
            .map_err(|_| EngineError::Start("the client's half refused its own configuration"))?;
        Half { endpoint, handle, connection }
    };

    let hello = client.packets(clock).into_iter().next();
    let mut hello = hello.ok_or(EngineError::Start("the client's half said nothing"))?;
    strip_padding(&mut hello);
    let mut scratch = Vec::new();
    let Some(DatagramEvent::NewConnection(incoming)) =
        server_endpoint.handle(clock, PEER, None, None, hello, &mut scratch)
    else {
        return Err(EngineError::Start("the server's half did not see the client"));
    };
    let (handle, connection) = server_endpoint
        .accept(incoming, clock, &mut scratch, None)
        .map_err(|_| EngineError::Start("the server's half refused the client"))?;
    let mut server = Half { endpoint: server_endpoint, handle, connection };

    for _ in 0..MAX_ROUNDS {
        let spoken = [exchange(&mut server, &mut client, clock), exchange(&mut client, &mut server, clock)];
        if spoken.contains(&true) {
            continue;
        }
        // Delayed acknowledgements are all that may be left; after them both halves are idle.
        let next =
            [&mut client, &mut server].into_iter().filter_map(|half| half.connection.poll_timeout()).min();
        match next {
            Some(at) if at <= now.max(clock) && at.saturating_duration_since(clock) < VIRTUAL_PAST => {
                clock = clock.max(at);
                client.connection.handle_timeout(clock);
                server.connection.handle_timeout(clock);
            }
            _ => break,
        }
    }
    let mut half = if seed.is_client() { client } else { server };
    half.settle(now)?;
    Ok(half)
}

/// Moves all packets of one half to the other; says whether there were any.
fn exchange(from: &mut Half, to: &mut Half, clock: Instant) -> bool {
    let packets = from.packets(clock);
    let any = !packets.is_empty();
    for mut packet in packets {
        strip_padding(&mut packet);
        strip_probe(&mut packet);
        to.receive(clock, packet);
    }
    any
}

/// Zeros that are left where padding is cut, so that zeros at the end of a last frame are never cut with it.
const KEPT_ZEROS: usize = 16;

/// Takes padding out of the last packet of a datagram: nothing is learnt from it here, and the state machine reads it byte
/// by byte, which would be most of the cost of a start. The datagram keeps its length, since a first one must be long; what
/// stands behind its last packet is then taken for a packet that nobody can read.
fn strip_padding(datagram: &mut [u8]) {
    let mut start = 0;
    while let Some(length_at) = length_field(datagram, start) {
        let Some(length) = datagram.get(length_at..).and_then(two_byte_varint) else { return };
        let end = length_at + 2 + length;
        if end < datagram.len() {
            start = end;
            continue;
        }
        let Some((frames, tag)) = datagram.get(length_at + 2..end).and_then(<[u8]>::split_last_chunk::<TAG>)
        else {
            return;
        };
        let used = frames.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) + KEPT_ZEROS;
        let (tag, shorter) = (*tag, u16::try_from(used + TAG).unwrap_or(u16::MAX));
        if used < frames.len()
            && let Some(packet) = datagram.get_mut(length_at..end)
        {
            packet.iter_mut().zip((shorter | 0x4000).to_be_bytes()).for_each(|(to, byte)| *to = byte);
            packet.iter_mut().skip(2 + used).zip(tag).for_each(|(to, byte)| *to = byte);
        }
        return;
    }
}

/// Where the length of the packet that begins at `start` stands (RFC 9000, section 17.2); `None` if it has none.
fn length_field(datagram: &[u8], start: usize) -> Option<usize> {
    /// Flags and version.
    const FIXED: usize = 5;
    let flags = datagram.get(start).filter(|flags| *flags & 0x80 != 0)?;
    let destination = start + FIXED;
    let source = destination + 1 + usize::from(*datagram.get(destination)?);
    let after = source + 1 + usize::from(*datagram.get(source)?);
    // An Initial has a token in front of its length. Ours is always empty, and its length a single zero.
    let is_initial = flags & 0x30 == 0;
    Some(after + usize::from(is_initial))
}

fn two_byte_varint(bytes: &[u8]) -> Option<usize> {
    let value = u16::from_be_bytes(*bytes.first_chunk()?);
    (value >> 14 == 1).then_some(usize::from(value & 0x3fff))
}

/// Cuts the padding of a path-MTU probe, a PING and zeros in a packet that has no length to agree with.
fn strip_probe(packet: &mut BytesMut) {
    let is_probe = packet.len() > usize::from(MIN_PACKET);
    let Some((frames, tag)) = packet.split_last_chunk::<TAG>().filter(|_| is_probe) else { return };
    let used = frames.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if used < frames.len() {
        let tag = *tag;
        packet.truncate(used);
        packet.extend_from_slice(&tag);
    }
}

fn endpoint(seed: &Seed, side: &str, server: Option<Arc<ServerConfig>>) -> Endpoint {
    let reset_key = ResetKey::new(&seed.derive(&format!("{side} reset key")));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    let ids = seed.derive(&format!("{side} connection ids"));
    config
        .rng_seed(Some(seed.derive(&format!("{side} randomness"))))
        .grease_quic_bit(false)
        .cid_generator(move || Box::new(SeededIds { seed: ids, next: AtomicU64::new(0) }));
    // Within the bounds that the setter checks, so the error cannot happen.
    let _ = config.max_udp_payload_size(65_527);
    Endpoint::new(Arc::new(config), server, true, None)
}

/// Connection ids that both ends can compute.
struct SeededIds {
    seed: [u8; 32],
    next: AtomicU64,
}

impl ConnectionIdGenerator for SeededIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        ConnectionId::new(&hash.finalize()[..CONNECTION_ID])
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl Half {
    /// Everything this half wants to send now, one entry a packet.
    fn packets(&mut self, clock: Instant) -> Vec<BytesMut> {
        let mut packets = Vec::new();
        let mut buffer = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(clock, 1, &mut buffer) {
            packets.push(BytesMut::from(&buffer[..transmit.size]));
            buffer.clear();
        }
        self.endpoint_events();
        packets
    }

    /// Feeds one packet to the connection; packets of another engine find none and are dropped. Says whether it found one.
    pub(crate) fn receive(&mut self, now: Instant, packet: BytesMut) -> bool {
        let mut response = Vec::new();
        // Responses (resets, version negotiation) never leave: a link has no strangers inside.
        let Some(DatagramEvent::ConnectionEvent(handle, event)) =
            self.endpoint.handle(now, PEER, None, None, packet, &mut response)
        else {
            return false;
        };
        let found = handle == self.handle;
        if found {
            self.connection.handle_event(event);
            self.endpoint_events();
        }
        found
    }

    /// Lets connection and endpoint talk about connection ids.
    pub(crate) fn endpoint_events(&mut self) {
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
    }

    /// Checks that the handshake is over and forgets the path it ran over.
    fn settle(&mut self, now: Instant) -> Result<(), EngineError> {
        if self.connection.is_handshaking() || self.connection.is_closed() {
            return Err(EngineError::Start("the local handshake did not finish"));
        }
        while let Some(event) = self.connection.poll() {
            if let Event::ConnectionLost { .. } = event {
                return Err(EngineError::Start("the local handshake failed"));
            }
        }
        self.connection.path_changed(now);
        Ok(())
    }
}
