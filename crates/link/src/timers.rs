//! The one table of time and count limits of a link, each with its reason.

use std::time::Duration;

/// Waits between the copies of an initiation within one attempt. Each copy is fresh.
///
/// Doubling from half a second: two losses cost 1.5 s, and a peer that is gone gets six packets per path and attempt.
pub(crate) const INITIATION_RESEND: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// An attempt to reach the peer that had no answer is given up after this.
pub(crate) const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);
/// First and longest wait before the next attempt while the application wants the link.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`]. A peer that comes back later than this initiates itself.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(60);
/// Initiations sent at once, each on a path of its own. More candidates than this take turns from copy to copy.
pub(crate) const COPIES_PER_ROUND: usize = 8;
/// Initiations that wait for a response; the oldest goes first. Two rounds, so that a slow path can still answer.
pub(crate) const MAX_PENDING: usize = 2 * COPIES_PER_ROUND;
/// Candidates that are added during an attempt and have an initiation at once: as many as there may be.
pub(crate) const LATE_BURST: u32 = 32;
/// And then one per interval, others when it is their turn: a router can name circuits without end.
pub(crate) const LATE_INTERVAL: Duration = Duration::from_secs(1);
/// An authentic initiation with an old `at` makes us initiate ourselves, at most this often: it may be a replay.
pub(crate) const STALE_ANSWER_INTERVAL: Duration = Duration::from_secs(10);
/// Initiations of one peer that we accept: a burst, then one per interval. Each costs a handshake and a commit.
pub(crate) const ACCEPT_BURST: u32 = 20;
/// See [`ACCEPT_BURST`].
pub(crate) const ACCEPT_INTERVAL: Duration = Duration::from_millis(100);
/// How far `at` leaps in the last two copies of an attempt, in microseconds: a day, then a year. So an endpoint whose
/// store or clock went back is accepted again without anybody's help.
pub(crate) const AT_LEAPS: [u64; 2] = [86_400_000_000, 366 * 86_400_000_000];
/// How often leaps double, once for every attempt in vain before this one. After so many they have gone as far as they may, so
/// any lead of the peer's is made up for within eight attempts.
pub(crate) const AT_LEAP_DOUBLINGS: u32 = 7;
/// A cookie of the peer's is shown for this long: as long as the secret behind it lasts.
pub(crate) const COOKIE_KEPT: Duration = Duration::from_secs(120);
/// `at` does not leap once it is this far ahead of the clock: two centuries, in microseconds. Without a bound a peer
/// that stays away for years would use up the numbers.
pub(crate) const AT_LEAP_LIMIT: u64 = 200 * 366 * 86_400_000_000;

/// A path is suspect when something was sent and nothing heard for three round trips, but at least this.
pub(crate) const SUSPECT_MIN: Duration = Duration::from_millis(250);
/// And at most this, so that one bad measurement does not hide a dead path.
pub(crate) const SUSPECT_MAX: Duration = Duration::from_secs(3);
/// Round trips of silence that make a path suspect.
pub(crate) const SUSPECT_ROUND_TRIPS: u32 = 3;
/// Probes in a row without an answer that make a path dead.
pub(crate) const DEAD_AFTER_PROBES: u8 = 2;
/// A dead path is probed again after this, doubling up to [`DEAD_PROBE_MAX`], while the link has no live path.
pub(crate) const DEAD_PROBE_FIRST: Duration = Duration::from_millis(500);
/// See [`DEAD_PROBE_FIRST`].
pub(crate) const DEAD_PROBE_MAX: Duration = Duration::from_secs(5);
/// Probes that ask whether a circuit carries the engine's packets whole, each after twice the wait of the one before. After
/// that they go in halves until the network changes.
pub(crate) const WIDTH_PROBES: u8 = 5;
/// Circuits beside a path in use that are kept warm. They cost the router a place.
pub(crate) const WARM_CIRCUITS: usize = 1;
/// A probe for which the budget has no room is tried again after this.
pub(crate) const BUDGET_WAIT: Duration = Duration::from_secs(1);
/// Something is sent on a path in use at least this often. NATs are only required to remember a UDP mapping for two
/// minutes and many forget after 30 s; whether there is one is not known, so all paths are kept so.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(25);
/// And something has to be heard at least this often, also while only the peer sends keepalives: *up* means that both
/// directions work. With the two limits of the link below this makes the 75 s that *up* promises.
pub(crate) const HEARD_CHECK: Duration = Duration::from_secs(30);
/// Proven paths beside the one in use that are kept warm. More cost packets and do not make a fail-over likelier.
pub(crate) const WARM_SPARES: usize = 3;
/// Nothing heard on any path for this long after sending: new handshake on all paths. When that attempt is given up
/// after [`ATTEMPT_LIMIT`], the link is down.
pub(crate) const REHANDSHAKE: Duration = Duration::from_secs(15);
/// Candidates of one link.
pub const MAX_CANDIDATES: usize = 32;
/// Of these, circuits: three routers are asked at a time from either end. So a router that makes up circuits takes no place of
/// an address.
pub(crate) const MAX_CIRCUIT_PATHS: usize = 8;
/// Ports that one attempt at birthday probing tries. With [`BIRTHDAY_SOCKETS`] and any of 64,512 ports a pair fits in 98 of 100
/// attempts; more would help little.
pub const BIRTHDAY_PORTS: usize = 1_000;
/// Sockets that one attempt at birthday probing opens. More would be a burden for NATs that allow each house so many ports, and
/// come near to what a process may open.
pub const BIRTHDAY_SOCKETS: usize = 256;
/// One port each, and at first one socket each: ten seconds for all ports.
pub(crate) const BIRTHDAY_PACE: Duration = Duration::from_millis(10);
/// What has become due is sent this often, so that the processor may rest in between.
pub(crate) const BIRTHDAY_TICK: Duration = Duration::from_millis(50);
/// How long answers to the last ports may take before the attempt is over.
pub(crate) const BIRTHDAY_ANSWERS: Duration = Duration::from_secs(2);
/// From the begin of an attempt of a link, or towards a /24, to that of its next.
pub(crate) const BIRTHDAY_AGAIN: Duration = Duration::from_secs(60);
/// From the begin of an attempt of an endpoint to that of its next, so that there is only one at a time.
pub const BIRTHDAY_PAUSE: Duration = Duration::from_secs(20);
/// The shorter round trip wins only when it is shorter by a fifth and by this, so that two like paths do not alternate.
pub(crate) const SWITCH_MARGIN: Duration = Duration::from_millis(5);

/// A session in use is renewed after this by the side that started it, less the jitter.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(120);
/// Jitter of [`RENEW_AFTER`], so that the links of a router do not all renew at once.
pub(crate) const RENEW_JITTER: Duration = Duration::from_secs(8);
/// The other side renews when that is overdue.
pub(crate) const RENEW_OVERDUE: Duration = Duration::from_secs(165);
/// A session in use is refused when it is this old: forward secrecy is worth nothing if keys live for ever.
pub(crate) const SESSION_LIMIT: Duration = Duration::from_secs(180);
/// A session that carries only keepalives is renewed after an hour.
pub(crate) const RENEW_IDLE: Duration = Duration::from_secs(3_600);
/// Wait before an unanswered renewal is sent again: the suspect time of the path, but at least this.
pub(crate) const RENEW_RESEND: Duration = Duration::from_millis(500);
/// Packets after which a session under AES-GCM is renewed, and after which it is refused. Far below the confidentiality
/// limit of RFC 9001 appendix B.1.1 for full-size packets.
pub(crate) const AES_GCM_RENEW_PACKETS: u64 = 1 << 22;
/// See [`AES_GCM_RENEW_PACKETS`].
pub(crate) const AES_GCM_PACKET_LIMIT: u64 = 1 << 23;
/// Packets after which any session is renewed; it is refused at twice as many, long before the counter ends.
pub(crate) const RENEW_PACKETS: u64 = 1 << 59;
/// Packets after which any session is refused.
pub(crate) const PACKET_LIMIT: u64 = 1 << 60;
/// The session before the current one opens late packets for this long.
pub(crate) const PREVIOUS_KEPT: Duration = Duration::from_secs(30);
/// A session that we answered and the peer never used is forgotten after this.
pub(crate) const UNCONFIRMED_KEPT: Duration = ATTEMPT_LIMIT;
/// Sessions that we answered and the peer has not used yet; the oldest goes first. As many as the peer has initiations that
/// wait for a response, since it uses the session of any of them.
pub(crate) const MAX_UNCONFIRMED: usize = MAX_PENDING;
/// Two initiations that crossed were made within this of each other; of those the higher hashname's is preferred.
pub(crate) const CROSSED_WITHIN: Duration = Duration::from_secs(5);
/// When the peer still uses the previous session this long after we changed over, and never the current one, we go back.
pub(crate) const GO_BACK_AFTER: Duration = Duration::from_secs(1);
/// As [`GO_BACK_AFTER`], at the end with the higher hashname: later by more than any round trip, so that the two ends
/// never change places with each other.
pub(crate) const GO_BACK_HIGHER_AFTER: Duration = Duration::from_secs(4);

/// Pings of the application that wait for an answer; the oldest goes first.
pub(crate) const MAX_PINGS: usize = 16;
/// Events and packets that wait for the caller; what does not fit is dropped and counted. One of each kind per
/// candidate, with room to spare.
pub(crate) const MAX_QUEUED: usize = 4 * MAX_CANDIDATES;
