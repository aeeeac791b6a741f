//! How large everything on the wire may be. One constant per limit, each with its reason; whoever decodes checks the
//! size of the whole before anything is read, so that no list can grow beyond what its bytes allow.

/// Longest encoded [`Hello`](crate::Hello) or [`HelloReply`](crate::HelloReply), in bytes.
///
/// The largest valid ones take about 900, the packets that carry them have room for 1,053 and 1,097: the rest is for
/// fields to come.
pub const MAX_HELLO_LENGTH: usize = 1_024;

/// Longest credential in a Hello, in bytes: a proof, a ticket or a short token. What is larger belongs in a channel.
pub const MAX_CREDENTIAL_LENGTH: usize = 512;

/// Length of the key under which the answer to a Hello is marked, in bytes: that of a truncated HMAC-SHA256.
pub const RESPONSE_MAC_KEY_LENGTH: usize = 16;

/// Longest encoded [`Open`](crate::Open), in bytes: enough for a description, too little for a transfer.
pub const MAX_OPEN_LENGTH: usize = 65_536;

/// Longest channel type, in bytes: that of a host name in DNS, on which reverse-domain names build.
pub const MAX_CHANNEL_TYPE_LENGTH: usize = 253;

/// Most headers in an [`Open`](crate::Open): as many as thtp allows in a request.
pub const MAX_HEADERS: usize = 128;

/// Longest name of a header in an [`Open`](crate::Open), in bytes.
pub const MAX_HEADER_NAME_LENGTH: usize = 64;

/// Longest reason in a [`Refusal`](crate::Refusal), in bytes of UTF-8: a sentence for people.
pub const MAX_REASON_LENGTH: usize = 512;

/// Longest encoded [`Answer`](crate::Answer), in bytes: a refusal with the longest reason, and room for fields to come.
pub const MAX_ANSWER_LENGTH: usize = 1_024;

/// Longest encoded [`Control`](crate::Control) message, in bytes.
///
/// It fits in one data packet on the smallest path: 1,232 bytes less 32 of the packet and one for the type byte.
pub const MAX_CONTROL_LENGTH: usize = 1_100;

/// Longest Noise message in a renewal, in bytes. Those of both cipher sets have at most 96.
pub const MAX_RENEWAL_NOISE_LENGTH: usize = 1_024;

/// Longest body of an [`Introduction`](crate::Introduction), in bytes: an initiation, or a link JSON of keys, and room for what is
/// to come. With everything in front it fits in the two halves of a message on the smallest path.
pub const MAX_INTRODUCTION_BODY_LENGTH: usize = 1_700;

/// Bytes before the payload of a [`Frame`](crate::Frame): one for its kind, four for the channel.
pub const FRAME_HEADER_LENGTH: usize = 5;

/// Most paths in a link JSON or a URI: as many candidates as a link has room for.
pub const MAX_PATHS: usize = 32;

/// Longest link JSON, in bytes: 32 paths through routers of many keys and paths each stay below it.
pub const MAX_LINK_JSON_LENGTH: usize = 65_536;

/// Longest link URI, in bytes: eight of the longest keys and 32 paths. The usual one has about 220, which a small QR code
/// holds.
pub const MAX_URI_LENGTH: usize = 8_192;

/// Port of an endpoint in a URI that names none, and of routers.
pub const DEFAULT_PORT: u16 = 42_424;
