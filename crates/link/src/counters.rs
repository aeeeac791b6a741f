//! Why packets were dropped: one enum, and a counter for each of its values.
//!
//! A drop is silent: the sender learns nothing, whatever the reason. The reasons are for the operator of this endpoint.

use std::fmt;

use crate::packet::PacketError;

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// Why a packet was dropped. From outside all of them look the same.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[doc = $doc])* #[error($text)] $name,)*
        }

        impl DropReason {
            /// All reasons, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

drop_reasons! {
    /// The size is none that the packet's type may have.
    Size => "wrong size",
    /// Reserved bytes are not zero.
    Reserved => "reserved bytes are not zero",
    /// The packet type is unknown, or not one for whom it was given to.
    UnknownType => "unknown packet type",
    /// The cipher set is none of ours.
    CipherSet => "cipher set is none of ours",
    /// mac1 is wrong: the sender does not know our public key, or not what the handshake is about.
    Mac1 => "wrong mac1",
    /// The return id is known and mac2 is wrong, or the tag is another peer's.
    ReturnTag => "wrong mac2 for a known return id",
    /// Strangers have initiated so often that no more of it is read.
    Overload => "too many initiations by strangers",
    /// One address has initiated more often than its share, while there is load.
    AddressLimit => "too many initiations from one address",
    /// There is load, the sender has not proven its address, and there is no cookie left to give.
    Unproven => "address not proven under load",
    /// The Noise message, the cookie or the packet does not authenticate.
    Authentication => "not authentic",
    /// A decrypted message does not parse.
    Malformed => "malformed message",
    /// The static key is not one of the claimed hashname, or the hashname not the expected one.
    Hashname => "key does not belong to the hashname",
    /// A weaker cipher set than both ends have.
    Downgrade => "not the strongest cipher set that both have",
    /// Our own packet, or somebody with our own keys.
    Ourselves => "own packet or own hashname",
    /// An authentic initiation that is not newer than the ones answered before.
    Stale => "initiation is not newer than the last",
    /// An authentic peer initiates more often than anybody needs.
    TooOften => "too many initiations",
    /// The receiver index names no session and no handshake of this link.
    UnknownIndex => "no session or handshake with this index",
    /// The packet was received before.
    Duplicate => "received before",
    /// The counter is below the replay window.
    TooOld => "below the replay window",
    /// The session is past its time or packet limit.
    SessionExpired => "session is past its limit",
    /// A data packet holds something of an unknown type.
    UnknownInner => "unknown type inside a data packet",
    /// A probe answer with a token that nobody waits for.
    UnknownProbe => "answer to no probe",
    /// Half of a fragmented packet that fits no other half.
    Fragment => "fragment does not fit",
    /// A queue is full.
    QueueFull => "queue is full",
}

impl From<PacketError> for DropReason {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Size => Self::Size,
            PacketError::Reserved => Self::Reserved,
            PacketError::UnknownType => Self::UnknownType,
        }
    }
}

/// How many packets were dropped, per reason.
///
/// A link that dropped nothing holds no table.
#[derive(Clone, Default)]
pub struct DropCounters {
    counts: Option<Box<[u64; DropReason::ALL.len()]>>,
}

impl DropCounters {
    /// Counts one packet.
    pub(crate) fn count(&mut self, reason: DropReason) {
        let counts = self.counts.get_or_insert_with(|| Box::new([0; DropReason::ALL.len()]));
        if let Some(count) = position(reason).and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }

    /// Number of packets dropped for this reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        let counts = self.counts.as_deref();
        counts.and_then(|counts| counts.get(position(reason)?)).copied().unwrap_or(0)
    }

    /// Number of packets dropped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.as_deref().map_or(0, |counts| counts.iter().sum())
    }

    /// The reasons that occurred, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.of(reason))).filter(|&(_, count)| count > 0)
    }
}

fn position(reason: DropReason) -> Option<usize> {
    DropReason::ALL.iter().position(|&other| other == reason)
}

impl fmt::Debug for DropCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
