//! One session: the transport keys that came out of one handshake, its counters, its window and its limits.

use std::fmt;
use std::time::{Duration, Instant};

use telemesh_hashname::CipherSetId;

use crate::aead::{AeadKeys, Cipher};
use crate::counters::DropReason;
use crate::lineage::Lineage;
use crate::packet::{DATA_HEADER_SIZE, DataMut, data_header};
use crate::replay::{ReplayError, ReplayWindow};
use crate::timers::{
    AES_GCM_PACKET_LIMIT, AES_GCM_RENEW_PACKETS, PACKET_LIMIT, RENEW_AFTER, RENEW_IDLE, RENEW_OVERDUE,
    RENEW_PACKETS, SESSION_LIMIT,
};

/// What the peer said about itself in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Random number of the peer's process start.
    pub incarnation: u64,
    /// Version of the peer's engine for reliable channels.
    pub engine_version: u32,
    /// Bits of the peer's optional abilities.
    pub features: u64,
}

/// What identifies a session to its two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionIds {
    /// What the peer writes into its packets.
    pub(crate) local_index: u32,
    /// What we write into ours.
    pub(crate) remote_index: u32,
    pub(crate) csid: CipherSetId,
    /// Whether our initiation led to it.
    pub(crate) started_by_us: bool,
}

/// The keys of one handshake in use.
pub(crate) struct Session {
    pub(crate) ids: SessionIds,
    pub(crate) about: About,
    pub(crate) lineage: Lineage,
    pub(crate) created: Instant,
    /// Added to the time of renewal.
    jitter: Duration,
    /// When the first packet that is not a keepalive went through.
    used_since: Option<Instant>,
    /// When the peer was last heard under this session.
    pub(crate) heard: Option<Instant>,
    keys: AeadKeys,
    next_counter: u64,
    replay: ReplayWindow,
}

/// The session may not seal any more packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealError;

impl Session {
    pub(crate) fn new(
        ids: SessionIds,
        about: About,
        lineage: Lineage,
        keys: AeadKeys,
        now: Instant,
        jitter: Duration,
    ) -> Box<Self> {
        Box::new(Self {
            ids,
            about,
            lineage,
            created: now,
            jitter,
            used_since: None,
            heard: None,
            keys,
            next_counter: 0,
            replay: ReplayWindow::default(),
        })
    }

    /// Appends one packet to `out`: header, the two parts of the plaintext sealed, tag. Leaves `out` as it was on error.
    pub(crate) fn seal(&mut self, head: &[u8], body: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if self.next_counter >= self.packet_limit() {
            return Err(SealError);
        }
        let start = out.len();
        let header = data_header(self.ids.remote_index, self.next_counter);
        out.extend_from_slice(&header);
        out.extend_from_slice(head);
        out.extend_from_slice(body);
        let plaintext = out.get_mut(start + DATA_HEADER_SIZE..).unwrap_or_default();
        let Ok(tag) = self.keys.seal(self.next_counter, &header, plaintext) else {
            out.truncate(start);
            return Err(SealError);
        };
        out.extend_from_slice(&tag);
        self.next_counter += 1;
        Ok(())
    }

    /// Decrypts a packet in place; returns the length of its plaintext. Takes note of its counter only when it is
    /// authentic.
    pub(crate) fn open(&mut self, now: Instant, data: &mut DataMut<'_>) -> Result<usize, DropReason> {
        if data.counter >= self.packet_limit() || now >= self.limit_at() {
            return Err(DropReason::SessionExpired);
        }
        let opened = self.keys.open(data.counter, &data.header, data.sealed);
        let length = opened.map_err(|_| DropReason::Authentication)?;
        self.replay.accept(data.counter).map_err(|error| match error {
            ReplayError::Duplicate => DropReason::Duplicate,
            ReplayError::TooOld => DropReason::TooOld,
        })?;
        self.heard = Some(now);
        Ok(length)
    }

    /// Takes note that something other than a keepalive goes through the session.
    pub(crate) fn used(&mut self, now: Instant) {
        self.used_since.get_or_insert(now);
    }

    /// Whether anything but keepalives went through it.
    pub(crate) fn is_used(&self) -> bool {
        self.used_since.is_some()
    }

    fn packet_limit(&self) -> u64 {
        match self.keys.cipher() {
            Cipher::AesGcm => AES_GCM_PACKET_LIMIT,
            Cipher::ChaChaPoly => PACKET_LIMIT,
        }
    }

    /// Whether so many packets were sealed that a new session is due.
    pub(crate) fn packets_due(&self) -> bool {
        let due = match self.keys.cipher() {
            Cipher::AesGcm => AES_GCM_RENEW_PACKETS,
            Cipher::ChaChaPoly => RENEW_PACKETS,
        };
        self.next_counter >= due
    }

    /// When this end starts a renewal.
    ///
    /// A session that begins to be used late is renewed then, and its limits count from there: an old key that carried
    /// only keepalives is not worse than a new one, and traffic must not stop because it was idle.
    pub(crate) fn renew_at(&self) -> Instant {
        if self.packets_due() {
            return self.created;
        }
        // Jitter only ever makes the starter earlier, so that it stays ahead of the other end.
        let idle = self.created + RENEW_IDLE - self.jitter;
        let Some(used) = self.used_since else {
            return if self.ids.started_by_us { idle } else { idle + (RENEW_OVERDUE - RENEW_AFTER) };
        };
        let regular = used.max(self.created + RENEW_AFTER - self.jitter);
        if self.ids.started_by_us { regular } else { regular + (RENEW_OVERDUE - RENEW_AFTER) }
    }

    /// When the session is refused, both for sealing and for opening.
    pub(crate) fn limit_at(&self) -> Instant {
        let grace = SESSION_LIMIT - RENEW_AFTER;
        match self.used_since {
            Some(used) => used.max(self.created + RENEW_AFTER) + grace,
            None => self.created + RENEW_IDLE + grace + grace,
        }
    }

    /// Whether the session is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.limit_at() || self.next_counter >= self.packet_limit()
    }

    /// Pretends that this many packets were sealed, to test the limits.
    #[cfg(test)]
    pub(crate) fn set_sealed(&mut self, sealed: u64) {
        self.next_counter = sealed;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("ids", &self.ids)
            .field("about", &self.about)
            .field("sealed", &self.next_counter)
            .finish_non_exhaustive()
    }
}
