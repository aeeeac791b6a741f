//! The gate: reads initiations, from strangers too, and says who is asking. Nothing goes out because of one, unless the
//! endpoint is public by choice: then, under load, a cookie.
//!
//! Work is done in the order of its cost, and each step has its limit: mac1 (one hash, and the sender must know our public
//! key), then a return tag or the budgets for strangers, and only then Diffie-Hellman.
//!
//! Whoever owns the gate decides what becomes of a [`Request`]: [`accept`](Request::accept) hands it to the link with
//! that peer, dropping it is silence.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use telemesh_wire::{Credential, Hello, PathAddress, ResponseMacKey};
use zeroize::Zeroizing;

use crate::admission::Strangers;
use crate::cookie::{CookieBytes, CookieMaker};
use crate::counters::{DropCounters, DropReason};
use crate::identity::Identity;
use crate::link::Link;
use crate::mac;
use crate::noise::{Handshake, Prologue};
use crate::packet::{Initiation, PAYLOAD_1_SIZE};
use crate::payload;
use crate::rate::{Rate, TokenBucket};
use crate::session::About;
use crate::tag_table::{Recognition, TagTable};

mod config;
pub use config::{GateConfig, PER_TAG};

/// Admission of initiations for one endpoint.
pub struct Gate {
    identity: Arc<Identity>,
    tags: TagTable,
    per_tag: Rate,
    strangers: Strangers,
    cookies: CookieMaker,
    cookie_rate: Rate,
    cookie_bucket: TokenBucket,
    public: bool,
    dropped: DropCounters,
    counts: Counts,
}

/// What a gate did, beside dropping.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    recognized: u64,
    cookies: u64,
}

/// What becomes of an initiation that is not dropped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Admission {
    /// It has been read, and waits for a decision.
    Request(Box<Request>),
    /// The sender has to prove its address first. Only from a gate that is public by choice: send this packet, and
    /// nothing else has happened.
    Cookie {
        /// Where the initiation came from.
        to: PathAddress,
        /// The whole packet: [`COOKIE_SIZE`](crate::COOKIE_SIZE) bytes.
        packet: Box<[u8]>,
    },
}

impl Gate {
    /// A gate for the endpoint, not public.
    ///
    /// `seed` is fresh randomness, and `now` any time that is not later than those of the calls that follow.
    #[must_use]
    pub fn new(identity: Arc<Identity>, config: GateConfig, seed: [u8; 32], now: Instant) -> Self {
        let GateConfig { tags, strangers, per_address, per_tag, cookies } = config;
        Self {
            identity,
            tags,
            per_tag,
            strangers: Strangers::new(strangers, per_address),
            cookies: CookieMaker::new(seed, now),
            cookie_rate: cookies,
            cookie_bucket: TokenBucket::default(),
            public: false,
            dropped: DropCounters::default(),
            counts: Counts::default(),
        }
    }

    /// Says whether the endpoint is public by choice. Only then does it give cookies: to everybody else a stranger who
    /// was not let in hears nothing, whatever happens.
    pub fn set_public(&mut self, public: bool) {
        self.public = public;
    }

    /// Whether the endpoint is public by choice.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// Reads an initiation (packet type 1).
    ///
    /// Costs a hash over the packet when the sender does not know our public key, another one when it shows a return tag
    /// or a cookie, and two Diffie-Hellman operations more when it is read, which is within the budgets of
    /// [`GateConfig`]. What comes back as a request is authentic as far as message 1 of Noise IK is: the sender once had
    /// the claimed keys, but the packet may be a replay, which [`Request::accept`] finds out.
    ///
    /// # Errors
    ///
    /// Why the packet is to be dropped; counted already.
    pub fn handle_initiation(
        &mut self,
        now: Instant,
        from: PathAddress,
        packet: &mut [u8],
    ) -> Result<Admission, DropReason> {
        let admitted = self.admit(now, from, packet);
        if let Err(reason) = &admitted {
            self.dropped.count(*reason);
        }
        admitted
    }

    fn admit(&mut self, now: Instant, from: PathAddress, packet: &[u8]) -> Result<Admission, DropReason> {
        let initiation = Initiation::parse(packet)?;
        let mac1_key = self.identity.mac1_key(initiation.csid).ok_or(DropReason::CipherSet)?;
        if !mac1_key.verify(initiation.covered, initiation.mac1) {
            return Err(DropReason::Mac1);
        }
        let known = match self.tags.recognize(now, self.per_tag, &initiation) {
            Recognition::Peer(peer) => {
                self.counts.recognized += 1;
                Some(peer)
            }
            Recognition::Wrong => return Err(DropReason::ReturnTag),
            Recognition::Copy => return Err(DropReason::Duplicate),
            Recognition::Unknown | Recognition::TooOften => {
                if self.public
                    && self.strangers.is_under_load(now)
                    && !self.is_proven(now, &from, &initiation)
                {
                    return self.give_cookie(now, from, &initiation);
                }
                self.strangers.take(now, &from)?;
                None
            }
        };
        let request = read_initiation(&self.identity, from, &initiation)?;
        if known.is_some_and(|peer| peer != request.claim.hashname) {
            // A peer that lends its tag to others would get them past the budgets.
            return Err(DropReason::ReturnTag);
        }
        Ok(Admission::Request(Box::new(request)))
    }

    /// Whether mac2 shows a cookie that was given to this address.
    fn is_proven(&self, now: Instant, from: &PathAddress, initiation: &Initiation<'_>) -> bool {
        let shows =
            |cookie: CookieBytes| mac::verify_mac2(&cookie, initiation.covered_by_mac2, initiation.mac2);
        initiation.return_id == 0 && self.cookies.valid(now, from).into_iter().flatten().any(shows)
    }

    fn give_cookie(
        &mut self,
        now: Instant,
        from: PathAddress,
        initiation: &Initiation<'_>,
    ) -> Result<Admission, DropReason> {
        let Rate { burst, .. } = self.cookie_rate;
        if !self.cookie_bucket.take(now, burst, self.cookie_rate.interval()) {
            return Err(DropReason::Unproven);
        }
        let public_key = self.identity.public_keys().key(initiation.csid).ok_or(DropReason::CipherSet)?;
        let packet = self.cookies.packet(now, &from, public_key, initiation.sender_index, initiation.mac1);
        let packet = packet.ok_or(DropReason::Unproven)?;
        self.counts.cookies += 1;
        Ok(Admission::Cookie { to: from, packet })
    }

    /// How many packets this gate dropped, and why.
    #[must_use]
    pub fn dropped(&self) -> &DropCounters {
        &self.dropped
    }

    /// How many cookies this gate gave.
    #[must_use]
    pub fn cookies_given(&self) -> u64 {
        self.counts.cookies
    }

    /// Takes something else that costs as much as a stranger's initiation, and may be anybody's doing, out of the same budget: an
    /// introduction that has to be opened to see whose it is.
    ///
    /// # Errors
    ///
    /// [`DropReason`] when there is no room now; counted already.
    pub fn admit_introduction(&mut self, now: Instant, from: PathAddress) -> Result<(), DropReason> {
        let taken = self.strangers.take(now, &from);
        if let Err(reason) = taken {
            self.dropped.count(reason);
        }
        taken
    }

    /// How many initiations showed a return tag, so that they did not stand in the line of the strangers.
    #[must_use]
    pub fn recognized(&self) -> u64 {
        self.counts.recognized
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("identity", &self.identity)
            .field("public", &self.public)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

fn read_initiation(
    identity: &Arc<Identity>,
    from: PathAddress,
    initiation: &Initiation<'_>,
) -> Result<Request, DropReason> {
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
