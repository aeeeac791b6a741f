//! Which datagrams a socket lets quinn see. Everything else is dropped before it: quinn answers unknown versions, bad
//! Initials and packets of lost connections on its own, and strangers must hear nothing.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use quinn::udp::RecvMeta;

use crate::{
    ids::{DialKey, LocalIds},
    outside::{Kind, Outside},
};

/// The shortest datagram that may start a connection ([RFC 9000, section 14.1]).
///
/// [RFC 9000, section 14.1]: https://www.rfc-editor.org/rfc/rfc9000#section-14.1
const FIRST_DATAGRAM: usize = 1_200;

/// The addresses with which there is a connection or a handshake.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<SocketAddr, usize>>);

impl Peers {
    /// Until the guard is dropped, handshake packets may come from here.
    pub(crate) fn expect(self: &Arc<Self>, address: SocketAddr) -> Expected {
        *self.0.lock().entry(address).or_default() += 1;
        Expected { peers: self.clone(), address }
    }

    fn has(&self, address: SocketAddr) -> bool {
        self.0.lock().contains_key(&address)
    }
}

/// See [`Peers::expect`].
#[derive(Debug)]
pub(crate) struct Expected {
    peers: Arc<Peers>,
    address: SocketAddr,
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock();
        if let Some(count) = peers.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.address);
            }
        }
    }
}

/// The rules of one socket.
#[derive(Debug)]
pub(crate) struct Filter {
    local: Arc<LocalIds>,
    /// Keys by which dials to us are recognised; none on a socket that only dials.
    listener: Vec<DialKey>,
    peers: Arc<Peers>,
    dropped: AtomicU64,
}

impl Filter {
    pub(crate) fn new(local: Arc<LocalIds>, listener: Vec<DialKey>, peers: Arc<Peers>) -> Self {
        Self { local, listener, peers, dropped: AtomicU64::new(0) }
    }

    #[cfg(test)]
    pub(crate) fn local(&self) -> &Arc<LocalIds> {
        &self.local
    }

    /// Datagrams dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether somebody who knows our key chose this id for its first packet.
    pub(crate) fn is_dial(&self, id: &[u8]) -> bool {
        self.listener.iter().any(|key| key.recognises(id))
    }

    /// Whether quinn may see this datagram.
    pub(crate) fn passes(&self, source: SocketAddr, datagram: &[u8]) -> bool {
        let Some(Outside { kind, destination }) = Outside::read(datagram) else { return false };
        match kind {
            Kind::OneRtt => self.local.recognises(destination),
            // An old id of ours, which somebody may have seen on the way, must not start anything again.
            Kind::Handshake => self.local.recognises(destination) && self.peers.has(source),
            Kind::Initial if self.is_dial(destination) => datagram.len() >= FIRST_DATAGRAM,
            Kind::Initial => self.local.recognises(destination) && self.peers.has(source),
        }
    }

    /// Takes the datagrams out of a received run that do not pass. The others move together; whether any are left.
    pub(crate) fn sift(&self, meta: &mut RecvMeta, buffer: &mut [u8]) -> bool {
        let source = crate::canonical(meta.addr);
        let stride = meta.stride.max(1);
        let (mut from, mut kept) = (0, 0);
        while from < meta.len {
            let end = meta.len.min(from + stride);
            if buffer.get(from..end).is_some_and(|datagram| self.passes(source, datagram)) {
                if kept != from {
                    buffer.copy_within(from..end, kept);
                }
                kept += end - from;
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            from = end;
        }
        meta.len = kept;
        kept > 0
    }
}

#[cfg(test)]
mod tests {
    use quinn::ConnectionIdGenerator as _;
    use telemesh_hashname::{CipherSetId, PublicKeys};

    use super::*;
    use crate::ids::Generator;

    struct World {
        listener: Filter,
        dialler: Filter,
        dial: DialKey,
    }

    const PEER: &str = "192.0.2.1:443";
    const STRANGER: &str = "192.0.2.66:6666";

    fn world() -> World {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS21, &[7; 32]).unwrap();
        let all = DialKey::all(&keys);
        let filter = |keys: &[DialKey]| Filter::new(LocalIds::new().unwrap(), keys.to_vec(), Arc::default());
        World { listener: filter(&all), dialler: filter(&[]), dial: all[0].clone() }
    }

    fn packet(first: u8, destination: &[u8], length: usize) -> Vec<u8> {
        let mut packet = vec![first];
        if first & 0x80 != 0 {
            packet.extend([0, 0, 0, 1, u8::try_from(destination.len()).unwrap()]);
        }
        packet.extend(destination);
        packet.resize(length, 0);
        packet
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn only_who_knows_the_key_starts_a_connection() {
        let world = world();
        let id = world.dial.draw().unwrap();
        assert!(world.listener.passes(at(STRANGER), &packet(0xc0, &id, 1_200)));
        assert!(!world.listener.passes(at(STRANGER), &packet(0xc0, &id, 1_199)), "too short to be answered");
        assert!(!world.listener.passes(at(STRANGER), &packet(0xc0, &[9; 20], 1_200)));
        assert!(!world.listener.passes(at(STRANGER), &packet(0xc0, &[9; 8], 1_200)));
        assert!(!world.listener.passes(at(STRANGER), &packet(0xe0, &id, 1_200)), "not with a later packet");
    }

    #[test]
    fn nobody_starts_a_connection_with_a_socket_that_only_dials() {
        let world = world();
        let id = world.dial.draw().unwrap();
        assert!(!world.dialler.passes(at(PEER), &packet(0xc0, &id, 1_200)));
    }

    #[test]
    fn an_id_of_ours_passes_in_a_handshake_only_from_whom_we_talk_to() {
        let World { dialler, .. } = world();
        let id = Generator(dialler.local.clone()).generate_cid();
        let expected = dialler.peers.expect(at(PEER));
        for first in [0xc0, 0xe0] {
            assert!(dialler.passes(at(PEER), &packet(first, &id, 1_200)));
            assert!(!dialler.passes(at(STRANGER), &packet(first, &id, 1_200)));
        }
        let second = dialler.peers.expect(at(PEER));
        drop(expected);
        assert!(dialler.passes(at(PEER), &packet(0xc0, &id, 1_200)));
        drop(second);
        assert!(!dialler.passes(at(PEER), &packet(0xc0, &id, 1_200)), "the connection is gone");
    }

    #[test]
    fn short_packets_need_an_id_of_ours() {
        let World { dialler, listener, .. } = world();
        let id = Generator(dialler.local.clone()).generate_cid();
        assert!(dialler.passes(at(STRANGER), &packet(0x40, &id, 60)), "the peer may have moved");
        assert!(!listener.passes(at(STRANGER), &packet(0x40, &id, 60)));
        assert!(!dialler.passes(at(STRANGER), &packet(0x40, &[1; 8], 60)));
    }

    #[test]
    fn a_run_keeps_what_passes_in_its_order() {
        let World { dialler, .. } = world();
        let id = Generator(dialler.local.clone()).generate_cid();
        let good = |last: u8, length: usize| {
            let mut packet = packet(0x40, &id, length);
            *packet.last_mut().unwrap() = last;
            packet
        };
        let bad = vec![0x40; 50];
        let mut run = [good(1, 50), bad.clone(), good(2, 50), bad, good(3, 30)].concat();
        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (at(PEER), run.len(), 50);
        assert!(dialler.sift(&mut meta, &mut run));
        assert_eq!(run[..meta.len], [good(1, 50), good(2, 50), good(3, 30)].concat());
        assert_eq!(dialler.dropped(), 2);

        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (at(PEER), 20, 20);
        assert!(!dialler.sift(&mut meta, &mut [0xff; 20]));
        let mut empty = RecvMeta::default();
        assert!(!dialler.sift(&mut empty, &mut []));
    }
}
