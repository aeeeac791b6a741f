//! The gate: reads initiations, from strangers too, and says who is asking. It never makes a byte of output.
//!
//! Whoever owns the gate decides what becomes of a [`Request`]: [`accept`](Request::accept) hands it to the link with
//! that peer, dropping it is silence.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use telemesh_wire::{Credential, Hello, PathAddress, ResponseMacKey};
use zeroize::Zeroizing;

use crate::counters::{DropCounters, DropReason};
use crate::identity::Identity;
use crate::link::Link;
use crate::noise::{Handshake, Prologue};
use crate::packet::{Initiation, PAYLOAD_1_SIZE};
use crate::payload;
use crate::session::About;

/// Admission of initiations for one endpoint.
#[derive(Debug)]
pub struct Gate {
    identity: Arc<Identity>,
    dropped: DropCounters,
}

impl Gate {
    /// A gate for the endpoint.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity, dropped: DropCounters::default() }
    }

    /// Reads an initiation (packet type 1).
    ///
    /// Costs a hash over the packet when the sender does not know our public key, and two Diffie-Hellman operations
    /// more when it does. What comes back is authentic as far as message 1 of Noise IK is: the sender once had the
    /// claimed keys, but the packet may be a replay, which [`Request::accept`] finds out.
    ///
    /// # Errors
    ///
    /// Why the packet is to be dropped; counted already.
    pub fn handle_initiation(
        &mut self,
        _now: Instant,
        from: PathAddress,
        packet: &mut [u8],
    ) -> Result<Request, DropReason> {
        let request = read_initiation(&self.identity, from, packet);
        if let Err(reason) = &request {
            self.dropped.count(*reason);
        }
        request
    }

    /// How many packets this gate dropped, and why.
    #[must_use]
    pub fn dropped(&self) -> &DropCounters {
        &self.dropped
    }
}

fn read_initiation(
    identity: &Arc<Identity>,
    from: PathAddress,
    packet: &[u8],
) -> Result<Request, DropReason> {
    let initiation = Initiation::parse(packet)?;
    let mac1_key = identity.mac1_key(initiation.csid).ok_or(DropReason::CipherSet)?;
    if !mac1_key.verify(initiation.covered, initiation.mac1) {
        return Err(DropReason::Mac1);
    }
    let csid = initiation.csid;
    let mut noise = Handshake::responder(identity, csid, None, &Prologue::Link)
        .map_err(|_| DropReason::Authentication)?;
    let mut buffer = Zeroizing::new([0; PAYLOAD_1_SIZE]);
    let length = noise.read(initiation.noise, buffer.as_mut()).map_err(|_| DropReason::Authentication)?;
    let static_key = noise.remote_static().ok_or(DropReason::Authentication)?;
    let message = buffer.get(..length).and_then(payload::unpad).ok_or(DropReason::Malformed)?;
    let hello = Hello::decode(message).map_err(|_| DropReason::Malformed)?;

    let hashname = hello.keys.hashname();
    if hashname == identity.hashname() {
        return Err(DropReason::Ourselves);
    }
    payload::check_identity(identity, csid, &static_key, &hello.keys)?;
    let mut keys = hello.keys.to_public_keys().map_err(|_| DropReason::Malformed)?;
    keys.insert_key(csid, &static_key).map_err(|_| DropReason::Hashname)?;
    Ok(Request {
        claim: Claim {
            hashname,
            keys,
            about: About {
                incarnation: hello.incarnation,
                engine_version: hello.engine_version,
                features: hello.features,
            },
            at: hello.at,
            credential: hello.credential,
            from,
        },
        noise: Box::new(noise),
        csid,
        sender_index: initiation.sender_index,
        response_mac_key: hello.response_mac_key,
    })
}

/// What an initiation says about its sender.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// The sender's hashname. Its keys belong to it: that has been checked.
    pub hashname: Hashname,
    /// The key of this handshake, and the digests of the sender's other keys.
    pub keys: PublicKeys,
    /// Incarnation, engine version and features.
    pub about: About,
    /// When the sender made this copy: microseconds since 1970 by its own clock, always growing.
    pub at: u64,
    /// Why it should be let in: an invite proof, a ticket, or nothing.
    pub credential: Credential,
    /// The address from which it came. Nothing proves that it is the sender's.
    pub from: PathAddress,
}

/// An initiation that has been read, and waits for a decision. Dropping it is silence.
pub struct Request {
    pub(crate) claim: Claim,
    pub(crate) noise: Box<Handshake>,
    pub(crate) csid: CipherSetId,
    pub(crate) sender_index: u32,
    pub(crate) response_mac_key: ResponseMacKey,
}

impl Request {
    /// Who asks.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Lets the sender in, on the link with that hashname.
    ///
    /// When the initiation is newer than those answered before, the link emits [`Event::Persist`](crate::Event::Persist)
    /// and holds the response until [`Link::persisted`] is called. When it is not, nothing is answered; the link
    /// initiates itself on the paths it knows, at a limited rate, because the peer may have lost its store.
    ///
    /// `wall` is the wall clock: microseconds since 1970.
    ///
    /// # Errors
    ///
    /// Why it was not accepted after all; counted by the link.
    pub fn accept(self, link: &mut Link, now: Instant, wall: u64) -> Result<(), DropReason> {
        link.handle_request(now, wall, self)
    }

    /// Drops the request without a trace.
    pub fn ignore(self) {}
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("claim", &self.claim).finish_non_exhaustive()
    }
}
