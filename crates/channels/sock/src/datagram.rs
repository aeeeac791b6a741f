//! What goes over the unreliable channel of a UDP tunnel: datagrams, each with its other end, in as many messages as it takes.
//!
//! ```text
//! message   = first [fragment] [place] data
//! first     = kind (bits 0 to 3: 0 whole, 1 fragment, 2 ready) | form of the place (bits 4 to 5) | 0 0
//! fragment  = number of the datagram (2 bytes) | index (1) | count (1)
//! place     = form 0: none, the tunnel's own target
//!           | form 1: IPv4 address (4) port (2)
//!           | form 2: IPv6 address (16) port (2)
//!           | form 3: length (1) host name, port (2)
//! ```
//!
//! Numbers have their highest byte first. Towards the far end the place is where a datagram goes, back it is where one comes
//! from. A datagram that does not fit in one message of the path is cut into fragments, as IP would do; if one of them is lost
//! the datagram is.

use std::collections::VecDeque;
use std::net::IpAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use telemesh_channel::{DatagramError, Datagrams};

use crate::targets::{Host, MAX_NAME, Target};

/// The longest datagram in bytes that a tunnel carries. Its fragments must fit in what a channel keeps for a reader who has not
/// come round to it yet, 64 KiB with the cost of keeping them.
pub const MAX_DATAGRAM: usize = 48 << 10;

/// The most fragments of a datagram: enough for the longest one on the narrowest path, 1,200 bytes less what stands in front.
const MAX_FRAGMENTS: usize = 64;

/// Datagrams of which only a part has come. More at once than this are not on their way in order.
const MAX_PARTIAL: usize = 8;

/// Bytes that partial datagrams hold together: two of the longest, and something.
const MAX_HELD: usize = 128 << 10;

const WHOLE: u8 = 0;
const FRAGMENT: u8 = 1;
const READY: u8 = 2;

/// A datagram with its other end: where it goes or comes from; `None` for the tunnel's own target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The other end.
    pub place: Option<Target>,
    /// Its bytes, maybe none.
    pub data: Bytes,
}

/// One message of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A whole datagram.
    Whole(Datagram),
    /// A part of one.
    Fragment {
        /// Which datagram.
        number: u16,
        /// Which part of it.
        index: u8,
        /// Of how many.
        count: u8,
        /// The part, with the other end of the datagram.
        part: Datagram,
    },
    /// The tunnel is there: nothing to deliver.
    Ready,
}

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a UDP tunnel")]
pub struct Malformed;

impl Message {
    /// The bytes of it.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Whole(datagram) => encode(WHOLE, None, datagram),
            Self::Fragment { number, index, count, part } => {
                encode(FRAGMENT, Some((*number, *index, *count)), part)
            }
            Self::Ready => Bytes::from_static(&[READY]),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`]. Whoever gets it drops the message.
    pub fn decode(mut bytes: Bytes) -> Result<Self, Malformed> {
        let first = bytes.try_get_u8().map_err(|_| Malformed)?;
        let form = first >> 4;
        match first & 0x0f {
            WHOLE => {
                let place = read_place(form, &mut bytes)?;
                Ok(Self::Whole(Datagram { place, data: bytes }))
            }
            FRAGMENT => {
                let number = bytes.try_get_u16().map_err(|_| Malformed)?;
                let index = bytes.try_get_u8().map_err(|_| Malformed)?;
                let count = bytes.try_get_u8().map_err(|_| Malformed)?;
                let place = read_place(form, &mut bytes)?;
                let fits = (2..=MAX_FRAGMENTS).contains(&count.into()) && index < count && !bytes.is_empty();
                if !fits {
                    return Err(Malformed);
                }
                Ok(Self::Fragment { number, index, count, part: Datagram { place, data: bytes } })
            }
            READY if form == 0 && bytes.is_empty() => Ok(Self::Ready),
            _ => Err(Malformed),
        }
    }
}

fn encode(kind: u8, fragment: Option<(u16, u8, u8)>, datagram: &Datagram) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + 4 + 1 + MAX_NAME.min(32) + 2 + datagram.data.len());
    let name = datagram.place.as_ref().map(|place| place.host().to_string());
    let form = match datagram.place.as_ref().map(Target::host) {
        None => 0,
        Some(Host::Address(IpAddr::V4(_))) => 1,
        Some(Host::Address(IpAddr::V6(_))) => 2,
        Some(Host::Localhost | Host::Name(_)) => 3,
    };
    out.put_u8(kind | form << 4);
    if let Some((number, index, count)) = fragment {
        out.put_u16(number);
        out.put_slice(&[index, count]);
    }
    if let Some(place) = &datagram.place {
        match place.host() {
            Host::Address(IpAddr::V4(v4)) => out.put_slice(&v4.octets()),
            Host::Address(IpAddr::V6(v6)) => out.put_slice(&v6.octets()),
            Host::Localhost | Host::Name(_) => {
                let name = name.unwrap_or_default();
                // No name is longer than its length can say.
                out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
                out.put_slice(name.as_bytes());
            }
        }
        out.put_u16(place.port());
    }
    out.put_slice(&datagram.data);
    out.freeze()
}

fn read_place(form: u8, bytes: &mut Bytes) -> Result<Option<Target>, Malformed> {
    let host: Host = match form {
        0 => return Ok(None),
        1 => IpAddr::from(bytes.try_get_u32().map_err(|_| Malformed)?.to_be_bytes()).into(),
        2 => IpAddr::from(bytes.try_get_u128().map_err(|_| Malformed)?.to_be_bytes()).into(),
        3 => {
            let length = usize::from(bytes.try_get_u8().map_err(|_| Malformed)?);
            if length > MAX_NAME || length > bytes.len() {
                return Err(Malformed);
            }
            let name = bytes.split_to(length);
            let name = std::str::from_utf8(&name).map_err(|_| Malformed)?;
            Host::parse(name).map_err(|_| Malformed)?
        }
        _ => return Err(Malformed),
    };
    let port = bytes.try_get_u16().map_err(|_| Malformed)?;
    Target::new(host, port).map(Some).map_err(|_| Malformed)
}

/// Sends datagrams over a channel, in as many messages as each takes.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    next: u16,
}

impl Sender {
    /// Sends a datagram now, or not at all. What the channel takes no more of is lost, as on every network.
    pub(crate) fn send(&mut self, channel: &Datagrams, datagram: Datagram) -> Result<(), DatagramError> {
        let (max, size) = (channel.max_size(), datagram.data.len());
        if size > MAX_DATAGRAM {
            return Err(DatagramError::TooLarge { size, max: MAX_DATAGRAM });
        }
        let whole = Message::Whole(datagram.clone()).encode();
        if whole.len() <= max {
            return channel.send(whole);
        }
        let overhead = whole.len() - size + 4;
        let room = max.checked_sub(overhead).filter(|room| *room > 0).unwrap_or(1);
        let count =
            u8::try_from(size.div_ceil(room)).ok().filter(|count| usize::from(*count) <= MAX_FRAGMENTS);
        let count = count.ok_or(DatagramError::TooLarge { size, max })?;
        let number = self.next;
        self.next = number.wrapping_add(1);
        let Datagram { place, mut data } = datagram;
        for index in 0..count {
            let part = Datagram { place: place.clone(), data: data.split_to(room.min(data.len())) };
            channel.send(Message::Fragment { number, index, count, part }.encode())?;
        }
        Ok(())
    }
}

/// Puts datagrams together again. Holds a bounded number of parts; the oldest incomplete datagrams give way.
#[derive(Debug, Default)]
pub struct Reassembly {
    partial: VecDeque<Partial>,
    held: usize,
}

#[derive(Debug)]
struct Partial {
    number: u16,
    place: Option<Target>,
    parts: Vec<Option<Bytes>>,
    missing: usize,
    size: usize,
}

impl Reassembly {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message, and gives the datagram that is complete with it.
    pub fn take(&mut self, message: Message) -> Option<Datagram> {
        let (number, index, count, part) = match message {
            Message::Whole(datagram) => return Some(datagram),
            Message::Ready => return None,
            Message::Fragment { number, index, count, part } => (number, index, usize::from(count), part),
        };
        let at = self.partial.iter().position(|partial| {
            partial.number == number && partial.place == part.place && partial.parts.len() == count
        });
        let at = at.unwrap_or_else(|| {
            self.partial.push_back(Partial {
                number,
                place: part.place,
                parts: vec![None; count],
                missing: count,
                size: 0,
            });
            self.partial.len() - 1
        });
        let partial = self.partial.get_mut(at)?;
        let place = partial.parts.get_mut(usize::from(index))?;
        if place.is_some() {
            // It has come twice.
            return None;
        }
        let size = part.data.len();
        *place = Some(part.data);
        partial.missing -= 1;
        partial.size += size;
        self.held += size;
        if partial.missing > 0 && partial.size <= MAX_DATAGRAM {
            while self.partial.len() > MAX_PARTIAL || self.held > MAX_HELD {
                self.drop_at(0);
            }
            return None;
        }
        let partial = self.drop_at(at)?;
        if partial.missing > 0 || partial.size > MAX_DATAGRAM {
            return None;
        }
        let mut data = BytesMut::with_capacity(partial.size);
        partial.parts.iter().flatten().for_each(|part| data.put_slice(part));
        Some(Datagram { place: partial.place, data: data.freeze() })
    }

    /// Bytes that are held of incomplete datagrams.
    pub fn held(&self) -> usize {
        self.held
    }

    fn drop_at(&mut self, at: usize) -> Option<Partial> {
        let partial = self.partial.remove(at)?;
        self.held -= partial.size;
        Some(partial)
    }
}

#[cfg(test)]
mod tests;
