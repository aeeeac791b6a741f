//! What an endpoint asks a router to pass on, and what the router passes on: the bodies of the channels `peer` and `connect`.
//!
//! Written by hand, since what is inside is moved as it is. An introduction is the circuit's number (8 bytes, little-endian), a
//! byte that says how the target is named (0: 32 bytes of hashname; 1: two bytes of length, little-endian, and a ticket), and the
//! body. A connection is the circuit's number and the body. A body is a byte for its kind (0 packet, 1 link JSON, 2 sealed, 3 seen)
//! and everything that follows.

use std::net::SocketAddr;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::address::{CircuitId, socket_address_from_bytes, socket_address_to_bytes};
use crate::error::{DecodeError, InvalidValue, at_most};
use crate::limits::{MAX_CREDENTIAL_LENGTH, MAX_INTRODUCTION_BODY_LENGTH};
use crate::link_info::LinkInfo;

/// What a router is asked to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// To whom.
    pub target: Target,
    /// What the asker will call the circuit that comes of it.
    pub circuit: CircuitId,
    /// What to pass on.
    pub body: Body,
}

/// Whom an introduction is for.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// An endpoint whose hashname the asker knows.
    Hashname(Hashname),
    /// Whoever the router has issued this for; only the router can read it. At most [`MAX_CREDENTIAL_LENGTH`] bytes.
    Ticket(Bytes),
}

/// What a router passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The circuit's number on the link between the router and who was asked for.
    pub circuit: CircuitId,
    /// What the asker has sent.
    pub body: Body,
}

/// What goes through a router's hands, at most [`MAX_INTRODUCTION_BODY_LENGTH`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// A packet of the link with the other end, as it would go over the network.
    Packet(Bytes),
    /// The asker's hashname and keys, for an endpoint whose keys it does not know.
    Keys(Box<LinkInfo>),
    /// The same, readable only for whoever has issued an invite.
    Sealed(Bytes),
    /// Where the router sees the asker, for the other end of a circuit that there is. The asker leaves the address open, and the
    /// router fills it in: so both want that it is told, and it cannot be made up by the asker.
    Seen {
        /// The asker.
        who: Hashname,
        /// Its address.
        at: Option<SocketAddr>,
    },
}

impl Introduction {
    /// The bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] when ticket or body are too long.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidValue> {
        let mut out = self.circuit.to_bytes().to_vec();
        match &self.target {
            Target::Hashname(hashname) => {
                out.push(BY_HASHNAME);
                out.extend_from_slice(hashname.as_bytes());
            }
            Target::Ticket(ticket) => {
                at_most(TICKET, ticket.len(), MAX_CREDENTIAL_LENGTH)?;
                let length = u16::try_from(ticket.len()).map_err(|_| InvalidValue::Form { what: TICKET })?;
                out.push(BY_TICKET);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(ticket);
            }
        }
        self.body.encode_into(&mut out)?;
        Ok(out)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed { what: INTRODUCTION };
        let (circuit, rest) = circuit(bytes).ok_or_else(malformed)?;
        let (kind, rest) = rest.split_first().ok_or_else(malformed)?;
        let (target, rest) = match *kind {
            BY_HASHNAME => {
                let (hashname, rest) = rest.split_first_chunk::<32>().ok_or_else(malformed)?;
                (Target::Hashname(Hashname::from_bytes(*hashname)), rest)
            }
            BY_TICKET => {
                let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
                let length = usize::from(u16::from_le_bytes(*length));
                at_most(TICKET, length, MAX_CREDENTIAL_LENGTH)?;
                let (ticket, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
                (Target::Ticket(bytes.slice_ref(ticket)), rest)
            }
            _ => return Err(DecodeError::UnknownKind { what: INTRODUCTION }),
        };
        Ok(Self { target, circuit, body: Body::decode(&bytes.slice_ref(rest))? })
    }
}

impl Connection {
    /// The bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] when the body is too long.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidValue> {
        let mut out = self.circuit.to_bytes().to_vec();
        self.body.encode_into(&mut out)?;
        Ok(out)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let (circuit, rest) = circuit(bytes).ok_or(DecodeError::Malformed { what: CONNECTION })?;
        Ok(Self { circuit, body: Body::decode(&bytes.slice_ref(rest))? })
    }
}

impl Body {
    fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let (json, seen);
        let (kind, bytes) = match self {
            Self::Packet(packet) => (PACKET, packet.as_ref()),
            Self::Keys(info) => {
                json = info.to_json();
                (KEYS, json.as_bytes())
            }
            Self::Sealed(sealed) => (SEALED, sealed.as_ref()),
            Self::Seen { who, at } => {
                seen =
                    [who.as_bytes(), at.map(socket_address_to_bytes).unwrap_or_default().as_slice()].concat();
                (SEEN, seen.as_slice())
            }
        };
        at_most(BODY, bytes.len(), MAX_INTRODUCTION_BODY_LENGTH)?;
        out.push(kind);
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let kind = *bytes.first().ok_or(DecodeError::Malformed { what: BODY })?;
        let rest = bytes.slice(1..);
        at_most(BODY, rest.len(), MAX_INTRODUCTION_BODY_LENGTH)?;
        match kind {
            PACKET => Ok(Self::Packet(rest)),
            KEYS => {
                let malformed = |_| DecodeError::Malformed { what: BODY };
                let text = std::str::from_utf8(&rest).map_err(|_| DecodeError::Malformed { what: BODY })?;
                Ok(Self::Keys(Box::new(LinkInfo::from_json(text).map_err(malformed)?)))
            }
            SEALED => Ok(Self::Sealed(rest)),
            SEEN => {
                let (who, at) = rest.split_first_chunk().ok_or(DecodeError::Malformed { what: BODY })?;
                let address = |_| DecodeError::Malformed { what: BODY };
                let at =
                    if at.is_empty() { None } else { Some(socket_address_from_bytes(at).map_err(address)?) };
                Ok(Self::Seen { who: Hashname::from_bytes(*who), at })
            }
            _ => Err(DecodeError::UnknownKind { what: BODY }),
        }
    }
}

fn circuit(bytes: &[u8]) -> Option<(CircuitId, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((CircuitId::from_bytes(*number), rest))
}

/// A ticket opens a router: only its length is shown.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hashname(hashname) => write!(f, "{}", hashname.short()),
            Self::Ticket(ticket) => write!(f, "Ticket({} bytes)", ticket.len()),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Packet(packet) => write!(f, "Packet({} bytes)", packet.len()),
            Self::Keys(info) => write!(f, "Keys({})", info.hashname().short()),
            Self::Sealed(sealed) => write!(f, "Sealed({} bytes)", sealed.len()),
            Self::Seen { who, at } => write!(f, "Seen({}, {at:?})", who.short()),
        }
    }
}

const BY_HASHNAME: u8 = 0;
const BY_TICKET: u8 = 1;
const PACKET: u8 = 0;
const KEYS: u8 = 1;
const SEALED: u8 = 2;
const SEEN: u8 = 3;
const INTRODUCTION: &str = "introduction";
const CONNECTION: &str = "connection";
const BODY: &str = "body of an introduction";
const TICKET: &str = "ticket";
